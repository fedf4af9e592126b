//! Folders, seeds and clocks.

use std::time::Duration;

use larder_system::{Boot, Clock};
use larder_testkit::{Scratch, Seed, VirtualClock};

#[test]
fn a_scratch_folder_is_gone_after_a_test_that_passed() {
    let scratch = Scratch::new("gone");
    let path = scratch.path().to_owned();
    std::fs::create_dir(scratch.join("inner")).expect("the folder is there");
    drop(scratch);
    assert!(!path.exists());
}

#[test]
fn a_scratch_folder_is_kept_after_a_test_that_failed() {
    let panic = std::thread::spawn(|| {
        let scratch = Scratch::new("kept");
        std::panic::panic_any(scratch.path().to_owned());
    });
    let panic = panic.join().expect_err("the thread panicked");
    let path = panic.downcast::<std::path::PathBuf>().expect("it panicked with the path");
    assert!(path.exists());
    std::fs::remove_dir(&*path).expect("nobody else removed it");
}

#[test]
fn two_scratch_folders_of_one_name_are_two() {
    assert_ne!(Scratch::new("same").path(), Scratch::new("same").path());
}

#[test]
fn a_seed_below_a_bound_gives_every_number_below_it() {
    let mut seed = Seed::from_number(1);
    let mut seen = [0_u32; 6];
    for _ in 0..600 {
        seen[seed.index(6)] += 1;
    }
    assert!(seen.iter().all(|count| (50..200).contains(count)), "{seen:?}");
}

#[test]
fn a_forked_seed_does_not_depend_on_what_its_origin_draws_later() {
    let draw = |extra: usize| {
        let mut seed = Seed::from_number(9);
        let mut fork = seed.fork();
        seed.bytes(extra);
        fork.draw()
    };
    assert_eq!(draw(0), draw(100));
}

#[test]
fn a_sleep_on_the_virtual_clock_passes_time_on_both_clocks_at_once() {
    let clock = VirtualClock::new();
    let (wall, monotonic) = (clock.wall(), clock.monotonic());
    clock.sleep(Duration::from_secs(86_400));
    assert_eq!(clock.wall().duration_since(wall).ok(), Some(Duration::from_secs(86_400)));
    assert_eq!(clock.monotonic(), monotonic + Duration::from_secs(86_400));
    assert_eq!(clock.sleeps(), [Duration::from_secs(86_400)]);
}

#[test]
fn the_wall_clock_jumps_without_the_monotonic_one() {
    let clock = VirtualClock::new();
    let (wall, monotonic) = (clock.wall(), clock.monotonic());
    clock.rewind_wall(Duration::from_secs(10));
    assert_eq!(clock.wall(), wall - Duration::from_secs(10));
    clock.advance_wall(Duration::from_secs(30));
    assert_eq!(clock.wall(), wall + Duration::from_secs(20));
    assert_eq!(clock.monotonic(), monotonic);
}

#[test]
fn a_reboot_is_another_boot_whose_time_starts_again() {
    let clock = VirtualClock::new();
    let before = clock.boot();
    clock.reboot();
    assert_ne!(clock.boot(), before);
    assert_eq!(clock.monotonic(), Duration::ZERO);
    clock.set_boot(None);
    assert_eq!(clock.boot(), None::<Boot>);
}
