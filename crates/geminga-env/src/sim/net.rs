//! A net in memory: listeners, streams with a seeded latency, resets and partitions.
//!
//! Every [`SimNet`] has an address of its own, 127.0.0.1 at first; [`SimNet::at`] gives the same net
//! as seen from another machine. Host names are `localhost`, IP addresses, and what
//! [`SimNet::add_host`] names.
//!
//! # Invariants
//!
//! 1. Bytes of one connection arrive in order, none before its latency has passed.
//! 2. What crosses a partition waits until it is healed, as TCP resends; nothing is dropped.

mod pipe;
mod stream;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use rand::{Rng, RngCore, SeedableRng, rngs::StdRng};
use tokio::sync::{Notify, mpsc};

use self::{pipe::Pipe, stream::SimStream};
use super::{SimClock, events::Events};
use crate::{
    BoxFuture, Clock,
    net::{Listener, Net, Stream},
};

/// The simulated net, as one machine sees it.
#[derive(Clone, Debug)]
pub struct SimNet {
    shared: Arc<Shared>,
    local: IpAddr,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    healed: Notify,
    clock: Arc<SimClock>,
    events: Events,
}

#[derive(Debug)]
struct State {
    listeners: BTreeMap<SocketAddr, mpsc::Sender<(SimStream, SocketAddr)>>,
    hosts: BTreeMap<String, IpAddr>,
    next_port: u16,
    latency: (Duration, Duration),
    partitions: BTreeSet<(IpAddr, IpAddr)>,
    links: Vec<Link>,
    rng: StdRng,
}

/// One connection: the two ends and the pipes between.
#[derive(Debug)]
struct Link {
    ends: (SocketAddr, SocketAddr),
    pipes: [Weak<Pipe>; 2],
}

#[derive(Debug)]
struct SimListener {
    shared: Arc<Shared>,
    address: SocketAddr,
    incoming: mpsc::Receiver<(SimStream, SocketAddr)>,
}

const BACKLOG: usize = 4_096;
const FIRST_FREE_PORT: u16 = 32_768;

impl SimNet {
    pub(super) fn new(seed: u64, clock: Arc<SimClock>, events: Events) -> Self {
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let state = State {
            listeners: BTreeMap::new(),
            hosts: BTreeMap::from([("localhost".to_owned(), local)]),
            next_port: FIRST_FREE_PORT,
            latency: (Duration::from_micros(50), Duration::from_millis(2)),
            partitions: BTreeSet::new(),
            links: Vec::new(),
            rng: StdRng::seed_from_u64(seed),
        };
        let shared = Shared { state: Mutex::new(state), healed: Notify::new(), clock, events };
        Self { shared: Arc::new(shared), local }
    }

    /// The same net from the machine with address `local`.
    #[must_use]
    pub fn at(&self, local: IpAddr) -> Self {
        Self { shared: Arc::clone(&self.shared), local }
    }

    /// Names a machine.
    pub fn add_host(&self, name: &str, address: IpAddr) {
        self.shared.state().hosts.insert(name.to_owned(), address);
    }

    /// Sets how long bytes of later connections are on their way, at least and at most.
    pub fn set_latency(&self, least: Duration, most: Duration) {
        self.shared.state().latency = (least, most.max(least));
    }

    /// Resets the connections whose two ends match; bytes on their way are lost.
    pub fn reset_where(&self, matches: impl Fn(SocketAddr, SocketAddr) -> bool) {
        let state = self.shared.state();
        let hit = state.links.iter().filter(|link| matches(link.ends.0, link.ends.1));
        hit.flat_map(|link| &link.pipes).filter_map(Weak::upgrade).for_each(|pipe| pipe.reset());
    }

    /// Resets every connection.
    pub fn reset_all(&self) {
        self.reset_where(|_, _| true);
    }

    /// Stops everything between two machines, until [`Self::heal`].
    pub fn partition(&self, a: IpAddr, b: IpAddr) {
        let mut state = self.shared.state();
        state.partitions.insert(pair(a, b));
        state.hold_between(a, b, true);
    }

    /// Lets everything between two machines through again, what waited first.
    pub fn heal(&self, a: IpAddr, b: IpAddr) {
        let mut state = self.shared.state();
        state.partitions.remove(&pair(a, b));
        state.hold_between(a, b, false);
        self.shared.healed.notify_waiters();
    }

    fn resolve(&self, address: &str) -> io::Result<SocketAddr> {
        if let Ok(address) = address.parse() {
            return Ok(address);
        }
        let invalid = || io::Error::new(io::ErrorKind::InvalidInput, "expected host:port");
        let (host, port) = address.rsplit_once(':').ok_or_else(invalid)?;
        let port = port.parse().map_err(|_| invalid())?;
        let known = self.shared.state().hosts.get(host).copied();
        let ip = known.ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("no simulated host is named {host:?}"))
        })?;
        Ok(SocketAddr::new(ip, port))
    }

    async fn connect(&self, remote: SocketAddr) -> io::Result<SimStream> {
        let shared = &self.shared;
        loop {
            let healed = shared.healed.notified();
            if !shared.state().partitions.contains(&pair(self.local, remote.ip())) {
                break;
            }
            healed.await;
        }
        let round_trip = shared.state().draw_latency() * 2;
        tokio::time::sleep_until(shared.clock.now() + round_trip).await;

        let mut state = shared.state();
        let Some(listener) = state.listener(remote) else {
            return Err(io::ErrorKind::ConnectionRefused.into());
        };
        let local = SocketAddr::new(self.local, state.free_port(self.local));
        let there = state.pipe(shared.clock.now());
        let back = state.pipe(shared.clock.now());
        state.links.retain(|link| link.pipes.iter().any(|pipe| pipe.strong_count() > 0));
        let pipes = [Arc::downgrade(&there), Arc::downgrade(&back)];
        state.links.push(Link { ends: (local, remote), pipes });
        drop(state);

        let near = SimStream::new(shared, (local, remote), Arc::clone(&back), Arc::clone(&there));
        let far = SimStream::new(shared, (remote, local), there, back);
        match listener.try_send((far, local)) {
            Ok(()) => Ok(near),
            Err(_) => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn draw_latency(&mut self) -> Duration {
        let (least, most) = self.latency;
        draw(&mut self.rng, least, most)
    }

    fn listener(&self, address: SocketAddr) -> Option<mpsc::Sender<(SimStream, SocketAddr)>> {
        let unspecified = match address {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
        };
        let wild = SocketAddr::new(unspecified, address.port());
        self.listeners.get(&address).or_else(|| self.listeners.get(&wild)).cloned()
    }

    fn free_port(&mut self, ip: IpAddr) -> u16 {
        loop {
            let port = self.next_port;
            self.next_port = self.next_port.checked_add(1).unwrap_or(FIRST_FREE_PORT);
            if !self.taken(SocketAddr::new(ip, port)) {
                return port;
            }
        }
    }

    fn taken(&self, address: SocketAddr) -> bool {
        self.listeners.keys().any(|other| {
            other.port() == address.port()
                && (other.ip() == address.ip()
                    || other.ip().is_unspecified()
                    || address.ip().is_unspecified())
        })
    }

    fn pipe(&mut self, now: crate::Instant) -> Arc<Pipe> {
        let rng = StdRng::seed_from_u64(self.rng.next_u64());
        Arc::new(Pipe::new(rng, self.latency, now))
    }

    fn hold_between(&self, a: IpAddr, b: IpAddr, hold: bool) {
        let between =
            self.links.iter().filter(|link| pair(link.ends.0.ip(), link.ends.1.ip()) == pair(a, b));
        between.flat_map(|link| &link.pipes).filter_map(Weak::upgrade).for_each(|p| p.hold(hold));
    }
}

impl Net for SimNet {
    fn listen(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let mut state = self.shared.state();
            let mut address = address;
            if address.port() == 0 {
                address.set_port(state.free_port(address.ip()));
            } else if state.taken(address) {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            let (sender, incoming) = mpsc::channel(BACKLOG);
            state.listeners.insert(address, sender);
            let shared = Arc::clone(&self.shared);
            Ok(Box::new(SimListener { shared, address, incoming }) as Box<dyn Listener>)
        })
    }

    fn dial<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Stream>> {
        Box::pin(async move {
            let remote = self.resolve(address)?;
            Ok(Box::new(self.connect(remote).await?) as Stream)
        })
    }
}

impl Listener for SimListener {
    fn local_address(&self) -> SocketAddr {
        self.address
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Stream, SocketAddr)>> {
        Box::pin(async move {
            match self.incoming.recv().await {
                Some((stream, peer)) => Ok((Box::new(stream) as Stream, peer)),
                None => Err(io::ErrorKind::NotConnected.into()),
            }
        })
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        self.shared.state().listeners.remove(&self.address);
    }
}

fn pair(a: IpAddr, b: IpAddr) -> (IpAddr, IpAddr) {
    (a.min(b), a.max(b))
}

fn draw(rng: &mut StdRng, least: Duration, most: Duration) -> Duration {
    let least = u64::try_from(least.as_micros()).unwrap_or(u64::MAX);
    let most = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(rng.random_range(least..=most))
}
