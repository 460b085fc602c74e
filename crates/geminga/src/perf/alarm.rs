//! Wakes a task at a time, to a few microseconds; the runtime's own timers count in milliseconds.

use geminga_env::{Env, Instant};

#[cfg(target_os = "linux")]
mod precise {
    use std::os::fd::OwnedFd;

    use anyhow::Context as _;
    use geminga_env::{Env, Instant};
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::io::unix::AsyncFd;

    pub(in super::super) struct Alarm(AsyncFd<OwnedFd>);

    impl Alarm {
        #[expect(
            deprecated,
            reason = "its heir is unsafe, for types that are not sure of their file"
        )]
        pub(in super::super) fn new() -> anyhow::Result<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags).context("a timer")?;
            Ok(Self(AsyncFd::new(timer).context("a timer")?))
        }

        pub(in super::super) async fn until(&self, env: &Env, at: Instant) -> anyhow::Result<()> {
            let wait = at.saturating_duration_since(env.clock.now());
            if wait.is_zero() {
                return Ok(());
            }
            let it_value = Timespec {
                tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: wait.subsec_nanos().into(),
            };
            let once = Itimerspec { it_interval: Timespec::default(), it_value };
            timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &once)
                .context("a timer")?;
            loop {
                let mut ready = self.0.readable().await.context("a timer")?;
                let mut expirations = [0; 8];
                match ready.try_io(|timer| Ok(rustix::io::read(timer.get_ref(), &mut expirations)?))
                {
                    Ok(read) => return read.map(drop).context("a timer"),
                    Err(_would_block) => {} // Set anew meanwhile.
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod precise {
    use geminga_env::{Env, Instant};

    pub(in super::super) struct Alarm;

    impl Alarm {
        pub(in super::super) fn new() -> anyhow::Result<Self> {
            Ok(Self)
        }

        pub(in super::super) async fn until(&self, _: &Env, at: Instant) -> anyhow::Result<()> {
            tokio::time::sleep_until(at).await;
            Ok(())
        }
    }
}

pub(super) use precise::Alarm;

impl Alarm {
    /// Waits until `at`; for ever without one.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub(super) async fn at(&self, env: &Env, at: Option<Instant>) -> anyhow::Result<()> {
        match at {
            Some(at) => self.until(env, at).await,
            None => std::future::pending().await,
        }
    }
}
