#![cfg(test)]
//! The real disk and net, on temporary directories and loopback.

use std::{
    io::ErrorKind,
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use geminga_env::{
    Bell, Clock, Control, Env, SystemClock, Workers,
    disk::{Disk, OpenMode, SystemDisk, create_dir_durably},
    net::{Net, SystemNet},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[test]
fn files_hold_what_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let nested = dir.path().join("a/b");
    create_dir_durably(&SystemDisk, &nested).unwrap();
    create_dir_durably(&SystemDisk, &nested).unwrap();
    let path = nested.join("file");
    assert_eq!(SystemDisk.open(&path, OpenMode::Read).unwrap_err().kind(), ErrorKind::NotFound);
    let file = SystemDisk.open(&path, OpenMode::CreateNew).unwrap();
    let again = SystemDisk.open(&path, OpenMode::CreateNew).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::AlreadyExists);
    file.write_at(b"hello", 3).unwrap();
    file.allocate(0).unwrap();
    file.allocate(4_096).unwrap();
    file.allocate(10).unwrap();
    file.sync_data().unwrap();
    assert_eq!(file.len().unwrap(), 4_096);
    file.set_len(7).unwrap();
    let mut bytes = [9; 10];
    assert_eq!(file.read_at(&mut bytes, 0).unwrap(), 7);
    assert_eq!(&bytes[..7], b"\0\0\0hell");
    assert_eq!(file.read_at(&mut bytes, 7).unwrap(), 0);

    let moved = nested.join("moved");
    SystemDisk.rename(&path, &moved).unwrap();
    SystemDisk.sync_dir(&nested).unwrap();
    assert_eq!(SystemDisk.list(&nested).unwrap(), std::slice::from_ref(&moved));
    assert!(!SystemDisk.exists(&path).unwrap());
    SystemDisk.remove_file(&moved).unwrap();
    assert!(SystemDisk.available_bytes(&nested).unwrap() > 0);
}

#[test]
fn a_lock_is_held_until_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let lock = SystemDisk.lock(&path).unwrap();
    assert_eq!(SystemDisk.lock(&path).unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(lock);
    SystemDisk.lock(&path).unwrap();
}

#[tokio::test]
async fn sockets_connect_and_name_a_taken_port() {
    let mut listener = SystemNet.listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_address();
    assert_eq!(SystemNet.listen(address).await.unwrap_err().kind(), ErrorKind::AddrInUse);
    let address = address.to_string();
    let (near, far) = tokio::join!(SystemNet.dial(&address), listener.accept());
    let (mut near, (mut far, _)) = (near.unwrap(), far.unwrap());
    near.write_all(b"ping").await.unwrap();
    drop(near);
    let mut bytes = Vec::new();
    far.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(bytes, b"ping");
}

#[derive(Debug, Default)]
struct Todo {
    count: u64,
    stop: bool,
}

/// A worker that reports what it took at each ring.
fn counting_worker(workers: Workers) -> (Bell, Arc<Mutex<Todo>>, mpsc::Receiver<u64>) {
    let (bell, todo) = (Bell::new(), Arc::new(Mutex::new(Todo::default())));
    let (sender, done) = mpsc::channel();
    let mine = Arc::clone(&todo);
    workers
        .spawn("counter", bell.clone(), move || {
            let taken = std::mem::take(&mut *mine.lock().unwrap());
            sender.send(taken.count).unwrap();
            if taken.stop { Control::Stop } else { Control::Continue }
        })
        .unwrap();
    (bell, todo, done)
}

#[test]
fn a_thread_misses_no_ring() {
    for round in 0..300 {
        let (bell, todo, done) = counting_worker(Workers::threads());
        for _ in 0..10 {
            todo.lock().unwrap().count += 1;
            bell.ring();
        }
        let mut sum = 0;
        while sum < 10 {
            sum += done.recv_timeout(Duration::from_secs(10)).expect("a ring was missed");
        }
        assert_eq!(sum, 10, "round {round}");
        todo.lock().unwrap().stop = true;
        bell.ring();
        // The worker is gone when its end of the channel is.
        while done.recv().is_ok() {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_works_once_per_ring_and_lets_others_run() {
    let (bell, todo, done) = counting_worker(Workers::tasks());
    todo.lock().unwrap().count = 2;
    bell.ring();
    bell.ring();
    assert!(done.try_recv().is_err(), "worked before anybody waited");
    while done.try_recv() != Ok(2) {
        tokio::task::yield_now().await;
    }
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(done.try_recv(), Err(mpsc::TryRecvError::Empty), "worked without a ring");
    todo.lock().unwrap().stop = true;
    bell.ring();
    while done.try_recv() != Err(mpsc::TryRecvError::Disconnected) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn blocking_work_answers() {
    assert_eq!(Env::system().workers.blocking(|| 7).await, 7);
    assert_eq!(Workers::tasks().blocking(|| 8).await, 8);
}

#[test]
fn time_goes_on() {
    let clock = SystemClock::new();
    let (then, wall) = (clock.now(), clock.wall());
    assert!(clock.now() >= then);
    assert!(wall.0 > 1_600_000_000_000);
}
