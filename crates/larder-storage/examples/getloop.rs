//! Loop.
use larder_storage::*;
use larder_testkit::Scratch;
fn main() {
    let n: u32 = std::env::args().nth(1).unwrap().parse().unwrap();
    let size: usize = std::env::args().nth(2).unwrap().parse().unwrap();
    let s = Scratch::new("perf");
    let store = Store::open(s.utf8_path().join("r")).unwrap();
    let key = Key::new("docs/react/hooks").unwrap();
    store.put(&key, &vec![7u8; size], &Put::new().durability(Durability::Relaxed)).unwrap();
    let t = std::time::Instant::now();
    for _ in 0..n {
        std::hint::black_box(store.get(&key).unwrap().unwrap());
    }
    println!("{:.0} ns", t.elapsed().as_nanos() as f64 / n as f64);
}
