//! Taking, waiting, giving up; on both backends unless it says otherwise.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use larder_lock::{Bound, Cancellation, Mode, Options, Origin, Wait, acquire};
use larder_testkit::{Operation, Scratch, errno};

use crate::stage::{BOTH, Diary, LEASE, OnStart, SHORT, elsewhere, holder, open, patient, spawn};

#[test]
fn a_held_lock_is_refused_at_once_and_its_holder_named() {
    for backend in BOTH {
        let scratch = Scratch::new("refused");
        let other = holder(&scratch, backend, "a");
        let locks = open(scratch.utf8_path(), backend);
        let wait = Wait::none().from(Origin::Flag("--no-wait".to_owned()));
        let error = locks.acquire("a", Mode::Exclusive, &wait).unwrap_err();
        assert!(matches!(error, acquire::Error::Busy { .. }), "{error}");
        assert_eq!(error.holder().unwrap().pid, Some(other.pid()));
        assert!(error.to_string().contains("flag --no-wait"), "{error}");
    }
}

#[test]
fn the_waiters_for_a_frozen_holder_leave_at_their_bound_and_name_it() {
    for backend in [BOTH[0], larder_lock::Backend::LEASE] {
        let scratch = Scratch::new("frozen");
        // The lease of the child is a short one, but whoever has not watched it for its length must not take it.
        let mut other = holder(&scratch, if backend == BOTH[0] { backend } else { LEASE }, "a");
        other.stop();
        let locks = open(scratch.utf8_path(), backend);
        let bound = Duration::from_millis(100);
        let wait = Wait::up_to(bound).from(Origin::Environment("LOCK_WAIT".to_owned()));
        let error = locks.acquire("a", Mode::Exclusive, &wait).unwrap_err();
        let acquire::Error::TimedOut { waited, bound: said, holder, .. } = &error else { panic!("{error}") };
        assert!(*waited >= bound);
        assert_eq!((*said, holder.pid), (Bound::UpTo(bound), Some(other.pid())));
        assert!(holder.since.is_some(), "{holder}");
        assert!(error.to_string().contains("environment variable LOCK_WAIT"), "{error}");
    }
}

#[test]
fn a_waiter_gets_the_lock_when_its_holder_lets_go() {
    for backend in BOTH {
        let scratch = Scratch::new("handed");
        let mut other = holder(&scratch, backend, "a");
        let mut waiter = spawn(&scratch, "hold", backend, "a", Mode::Exclusive);
        waiter.wait_for_line("waiting");
        assert!(!waiter.said().contains(&"held".to_owned()));
        other.send_line("release");
        waiter.wait_for_line("held");
    }
}

#[test]
fn a_waiter_gets_the_lock_when_its_holder_is_killed() {
    for backend in BOTH {
        let scratch = Scratch::new("killed");
        let mut other = holder(&scratch, backend, "a");
        let mut waiter = spawn(&scratch, "hold", backend, "a", Mode::Exclusive);
        waiter.wait_for_line("waiting");
        other.kill();
        waiter.wait_for_line("held");
    }
}

#[test]
fn different_names_do_not_exclude_each_other() {
    for backend in BOTH {
        let scratch = Scratch::new("names");
        let locks = open(scratch.utf8_path(), backend);
        let _a = locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap();
        let _capital = locks.acquire("A", Mode::Exclusive, &Wait::none()).unwrap();
        let _path = locks.acquire("../a", Mode::Exclusive, &Wait::none()).unwrap();
    }
}

#[test]
fn two_locks_of_one_process_on_one_folder_share_one_line() {
    for backend in BOTH {
        let scratch = Scratch::new("same");
        let (one, two) = (open(scratch.utf8_path(), backend), open(scratch.utf8_path(), backend));
        let guard = one.acquire("a", Mode::Exclusive, &Wait::none()).unwrap();
        two.acquire("a", Mode::Exclusive, &Wait::none()).unwrap_err();
        drop(guard);
        drop(two.acquire("a", Mode::Exclusive, &patient()).unwrap());
    }
}

#[test]
fn threads_of_one_process_take_turns_in_the_order_in_which_they_came() {
    for backend in BOTH {
        let scratch = Scratch::new("turns");
        let locks = open(scratch.utf8_path(), backend);
        let guard = locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap();
        let (tell, told) = mpsc::channel();
        std::thread::scope(|scope| {
            for number in 0..8 {
                let (in_line, waits) = mpsc::sync_channel(1);
                let (locks, tell) = (&locks, tell.clone());
                scope.spawn(move || {
                    let wait = patient().observed_by(Arc::new(OnStart(move || in_line.send(()).unwrap())));
                    let guard = locks.acquire("a", Mode::Exclusive, &wait).unwrap();
                    tell.send(number).unwrap();
                    drop(guard);
                });
                waits.recv().unwrap();
            }
            drop(guard);
        });
        assert_eq!(told.try_iter().collect::<Vec<i32>>(), (0..8).collect::<Vec<_>>());
    }
}

#[test]
fn one_process_has_one_thread_at_the_operating_system_for_a_name() {
    let scratch = Scratch::new("one-waiter");
    let _other = holder(&scratch, BOTH[0], "a");
    let here = elsewhere(&scratch, Options::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| here.locks.acquire("a", Mode::Exclusive, &Wait::up_to(SHORT)).unwrap_err());
        }
    });
    assert_eq!(here.disk.count_of(Operation::Lock), 1);
}

#[test]
fn many_threads_of_one_process_hand_the_lock_on_without_losing_a_turn() {
    for kept in [0, 8] {
        let scratch = Scratch::new("turns");
        let locks = larder_lock::Locks::open(scratch.utf8_path(), Options::new().kept_descriptors(kept)).unwrap();
        let inside = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..12 {
                scope.spawn(|| {
                    for _ in 0..150 {
                        // patience far beyond what it takes: a turn that is lost is waited for until the end of it
                        let guard = locks.acquire("a", Mode::Exclusive, &Wait::up_to(Duration::from_secs(20))).unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "one at a time");
                        assert_eq!(inside.fetch_sub(1, Ordering::SeqCst), 1);
                        drop(guard);
                        std::thread::yield_now();
                    }
                });
            }
        });
    }
}

#[test]
fn a_cancelled_wait_ends_also_without_a_bound() {
    for backend in BOTH {
        let scratch = Scratch::new("cancelled");
        let _other = holder(&scratch, backend, "a");
        let locks = open(scratch.utf8_path(), backend);
        let cancellation = Cancellation::new();
        let canceller = cancellation.clone();
        let wait = Wait::until_cancelled(&cancellation).observed_by(Arc::new(OnStart(move || canceller.cancel())));
        let error = locks.acquire("a", Mode::Exclusive, &wait).unwrap_err();
        assert!(matches!(error, acquire::Error::Cancelled { .. }), "{error}");
    }
}

#[test]
fn a_sleeping_waiter_is_woken_by_its_cancellation() {
    for backend in BOTH {
        let scratch = Scratch::new("woken");
        let _other = holder(&scratch, backend, "a");
        // Without reports, which would wake it too.
        let options = Options::new().backend(backend).report_every(Duration::from_secs(86_400));
        let locks = larder_lock::Locks::open(scratch.utf8_path(), options).unwrap();
        let cancellation = Cancellation::new();
        let (tell, waits) = mpsc::sync_channel(1);
        let start = move || tell.send(std::fs::read_link("/proc/thread-self").unwrap()).unwrap();
        let wait = Wait::until_cancelled(&cancellation).observed_by(Arc::new(OnStart(start)));
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| locks.acquire("a", Mode::Exclusive, &wait).map(drop));
            let stat = std::path::Path::new("/proc").join(waits.recv().unwrap()).join("stat");
            while !std::fs::read_to_string(&stat).unwrap().rsplit_once(") ").unwrap().1.starts_with('S') {
                std::thread::yield_now();
            }
            cancellation.cancel();
            assert!(matches!(waiter.join().unwrap(), Err(acquire::Error::Cancelled { .. })));
        });
    }
}

#[test]
fn a_cancelled_thread_in_the_line_of_its_process_leaves_it() {
    for backend in BOTH {
        let scratch = Scratch::new("left-line");
        let locks = open(scratch.utf8_path(), backend);
        let guard = locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap();
        let error = locks.acquire("a", Mode::Exclusive, &Wait::up_to(SHORT)).unwrap_err();
        assert_eq!(error.holder().unwrap().pid, Some(std::process::id()));
        drop(guard);
        drop(locks.acquire("a", Mode::Exclusive, &patient()).unwrap());
    }
}

#[test]
fn an_observer_hears_of_each_step_and_of_the_holder() {
    for backend in BOTH {
        let scratch = Scratch::new("observed");
        let other = holder(&scratch, backend, "a");
        let pid = other.pid();
        let options = Options::new().backend(backend).report_every(Duration::from_millis(10));
        let locks = larder_lock::Locks::open(scratch.utf8_path(), options).unwrap();
        let diary = Arc::new(Diary::default());
        let wait = Wait::up_to(Duration::from_millis(200)).observed_by(Arc::<Diary>::clone(&diary));
        locks.acquire("a", Mode::Exclusive, &wait).unwrap_err();
        let entries = diary.entries();
        assert_eq!(entries.first(), Some(&format!("started {pid}")));
        assert!(entries.contains(&format!("still {pid}")), "{entries:?}");
        assert_eq!(entries.last(), Some(&format!("timed out {pid}")));
    }
}

#[test]
fn an_observer_of_a_lock_that_is_free_hears_nothing() {
    for backend in BOTH {
        let scratch = Scratch::new("silent");
        let locks = open(scratch.utf8_path(), backend);
        let diary = Arc::new(Diary::default());
        drop(locks.acquire("a", Mode::Exclusive, &patient().observed_by(Arc::<Diary>::clone(&diary))).unwrap());
        assert_eq!(diary.entries(), Vec::<String>::new());
    }
}

#[test]
fn shared_holders_share_and_keep_an_exclusive_one_out() {
    let scratch = Scratch::new("shared");
    let mut other = spawn(&scratch, "hold", BOTH[0], "a", Mode::Shared);
    other.wait_for_line("held");
    let locks = open(scratch.utf8_path(), BOTH[0]);
    let one = locks.acquire("a", Mode::Shared, &Wait::none()).unwrap();
    let two = locks.acquire("a", Mode::Shared, &patient()).unwrap();
    locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap_err();
    drop((one, two));
    locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap_err();
    other.send_line("release");
    drop(locks.acquire("a", Mode::Exclusive, &patient()).unwrap());
}

#[test]
fn a_shared_lease_is_refused_and_never_granted_as_something_else() {
    let scratch = Scratch::new("shared-lease");
    let locks = open(scratch.utf8_path(), LEASE);
    let error = locks.acquire("a", Mode::Shared, &patient()).unwrap_err();
    assert!(matches!(error, acquire::Error::SharedLease { .. }), "{error}");
}

#[test]
fn a_name_that_is_too_long_is_refused_with_its_length() {
    let scratch = Scratch::new("long");
    let locks = open(scratch.utf8_path(), BOTH[0]);
    let error = locks.acquire(&"x".repeat(1_025), Mode::Exclusive, &Wait::none()).unwrap_err();
    assert!(matches!(error, acquire::Error::NameTooLong { length: 1_025 }), "{error}");
}

#[test]
fn a_permission_that_is_missing_is_an_error_at_once_and_not_a_wait() {
    for (backend, operation) in [(BOTH[0], Operation::Open), (BOTH[0], Operation::TryLock), (LEASE, Operation::Open)] {
        let scratch = Scratch::new("denied");
        let here = elsewhere(&scratch, Options::new().backend(backend));
        here.disk.fail_operation(operation, errno::EACCES, 1);
        let error = here.locks.acquire("a", Mode::Exclusive, &Wait::forever()).unwrap_err();
        assert!(matches!(error, acquire::Error::PermissionDenied { .. }), "{error}");
    }
}

#[test]
fn a_file_system_without_locks_is_an_error_that_names_the_remedy() {
    for number in [errno::ENOSYS, errno::EOPNOTSUPP, errno::ENOLCK, errno::EBADF] {
        let scratch = Scratch::new("unsupported");
        let here = elsewhere(&scratch, Options::new());
        here.disk.fail_operation(Operation::TryLock, number, 1);
        let error = here.locks.acquire("a", Mode::Exclusive, &Wait::forever()).unwrap_err();
        assert!(matches!(error, acquire::Error::Unsupported { .. }), "{error}");
        assert!(error.to_string().contains("lease backend"), "{error}");
    }
}

#[test]
fn a_blocked_lock_call_that_fails_is_an_error_and_not_a_wait() {
    let scratch = Scratch::new("blocked-fails");
    let _other = holder(&scratch, BOTH[0], "a");
    let here = elsewhere(&scratch, Options::new());
    here.disk.fail_operation(Operation::Lock, errno::ENOLCK, 1);
    let error = here.locks.acquire("a", Mode::Exclusive, &Wait::forever()).unwrap_err();
    assert!(matches!(error, acquire::Error::Unsupported { .. }), "{error}");
}

#[test]
fn interrupted_calls_are_made_again() {
    for backend in BOTH {
        let scratch = Scratch::new("interrupted");
        let here = elsewhere(&scratch, Options::new().backend(backend));
        here.disk.interrupt_every(2);
        let guard = here.locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap();
        guard.check().unwrap();
    }
}

#[test]
fn a_folder_that_is_gone_is_an_error_that_says_so() {
    for backend in BOTH {
        let scratch = Scratch::new("gone");
        let folder = scratch.utf8_path().join("locks");
        let locks = open(&folder, backend);
        std::fs::remove_dir_all(&folder).unwrap();
        let error = locks.acquire("a", Mode::Exclusive, &patient()).unwrap_err();
        assert!(matches!(error, acquire::Error::FolderGone { .. }), "{error}");
        assert!(error.to_string().contains(folder.as_str()), "{error}");
    }
}

#[test]
fn something_else_under_the_lock_files_name_is_refused() {
    let scratch = Scratch::new("foreign");
    let locks = open(scratch.utf8_path(), BOTH[0]);
    let file = scratch.join(larder_lock::file_name("folder").unwrap());
    std::fs::create_dir(&file).unwrap();
    let error = locks.acquire("folder", Mode::Exclusive, &patient()).unwrap_err();
    assert!(matches!(error, acquire::Error::Foreign { .. }), "{error}");
    let target = scratch.join("target");
    std::os::unix::fs::symlink(&target, scratch.join(larder_lock::file_name("link").unwrap())).unwrap();
    locks.acquire("link", Mode::Exclusive, &patient()).unwrap_err();
    assert!(!target.exists(), "a planted link was followed");
}

#[test]
fn a_child_that_runs_another_program_does_not_keep_the_lock() {
    let scratch = Scratch::new("exec");
    let here = open(scratch.utf8_path(), BOTH[0]);
    let guard = here.acquire("a", Mode::Exclusive, &Wait::none()).unwrap();
    let mut cat = std::process::Command::new("cat")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    drop(guard);
    let _again = here.acquire("a", Mode::Exclusive, &patient()).unwrap();
    drop(cat.stdin.take());
    cat.wait().unwrap();
}

#[test]
fn a_umask_that_forbids_everything_locks_nobody_out() {
    use std::os::unix::fs::PermissionsExt as _;
    for backend in BOTH {
        let scratch = Scratch::new("umask");
        let folder = scratch.utf8_path().join("locks");
        let arguments = [("folder", folder.as_str()), ("backend", crate::stage::name_of(backend))];
        larder_testkit::Child::spawn("umask", &arguments).wait_for_success();
        let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let mut paths = vec![folder.into_std_path_buf()];
        let mut seen = 0;
        while let Some(path) = paths.pop() {
            let want = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode(&path), want, "{}", path.display());
            seen += 1;
            if path.is_dir() {
                paths.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            }
        }
        assert!(seen >= 3, "the folder, its record and a lock");
    }
}

#[test]
fn a_file_left_without_its_mode_by_a_killed_maker_is_given_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let scratch = Scratch::new("modeless");
    let file = scratch.join(larder_lock::file_name("a").unwrap());
    std::fs::write(&file, "").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o000)).unwrap();
    let here = elsewhere(&scratch, Options::new());
    // What a user other than root would be answered.
    here.disk.fail_operation(Operation::Open, errno::EACCES, 1);
    drop(here.locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap());
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_lock_file_that_disappears_before_it_is_locked_is_made_again() {
    let scratch = Scratch::new("vanishing");
    let here = elsewhere(&scratch, Options::new());
    let path = scratch.join(larder_lock::file_name("a").unwrap());
    let (file, left) = (path.clone(), AtomicUsize::new(3));
    here.disk.before(move |call| {
        let meddle = call.operation == Operation::TryLock;
        if meddle && left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            std::fs::remove_file(&file).unwrap();
        }
        larder_testkit::Action::Proceed
    });
    let guard = here.locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap();
    guard.check().unwrap();
    assert!(path.exists());
}

#[test]
fn a_lock_file_that_always_disappears_is_an_error_and_not_an_endless_loop() {
    let scratch = Scratch::new("always-vanishing");
    let here = elsewhere(&scratch, Options::new());
    let file = scratch.join(larder_lock::file_name("a").unwrap());
    here.disk.before(move |call| {
        if call.operation == Operation::TryLock {
            std::fs::remove_file(&file).unwrap();
        }
        larder_testkit::Action::Proceed
    });
    let error = here.locks.acquire("a", Mode::Exclusive, &Wait::forever()).unwrap_err();
    assert!(matches!(error, acquire::Error::Unstable { .. }), "{error}");
}

#[test]
fn a_lock_that_was_let_go_is_free_also_while_children_are_being_started() {
    let scratch = Scratch::new("forked");
    let [one, other] = [(); 2].map(|()| open(scratch.utf8_path(), BOTH[0]));
    // a child that is forked and has not executed its program yet has copies of all descriptors
    std::thread::scope(|scope| {
        let starting = scope.spawn(|| {
            for _ in 0..300 {
                std::process::Command::new("true").status().unwrap();
            }
        });
        while !starting.is_finished() {
            drop(one.acquire("a", Mode::Exclusive, &Wait::none()).unwrap());
            drop(other.acquire("a", Mode::Exclusive, &Wait::none()).unwrap());
        }
    });
}
