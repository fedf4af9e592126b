//! Random choices that a failed test can repeat.

use std::io::Write as _;

/// The environment variable that sets the seed, in decimal or as `0x` and hexadecimal digits.
const VARIABLE: &str = "LARDER_SEED";

/// A generator of random choices (`SplitMix64`), the same for the same seed on every machine.
///
/// Not for secrets. When the test panics, it prints the line that repeats the run.
///
/// ```
/// use larder_testkit::Seed;
///
/// let (mut one, mut other) = (Seed::from_number(7), Seed::from_number(7));
/// assert_eq!(one.bytes(20), other.bytes(20));
/// assert!(one.below(3) < 3);
/// ```
#[derive(Debug)]
pub struct Seed {
    number: u64,
    state: u64,
}

impl Seed {
    /// The seed that `LARDER_SEED` names, or a fresh one.
    ///
    /// # Panics
    /// `LARDER_SEED` is no number, or the system has no random numbers.
    pub fn new() -> Self {
        let number = match std::env::var(VARIABLE) {
            Ok(text) => parse(&text).unwrap_or_else(|| panic!("{VARIABLE} must be a number, not {text:?}")),
            Err(_) => larder_system::unique().expect("the system has random numbers"),
        };
        Self::from_number(number)
    }

    /// A chosen seed, whatever the environment says.
    pub const fn from_number(number: u64) -> Self {
        Self { number, state: number }
    }

    /// The number that repeats this run.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// The next random number.
    pub const fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    ///
    /// # Panics
    /// `bound` is 0.
    pub const fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "no number is below 0");
        // The bias of a remainder is below 2^-32 for every bound that a test uses.
        self.draw() % bound
    }

    /// A place in a list of `length`.
    ///
    /// # Panics
    /// `length` is 0.
    #[expect(clippy::cast_possible_truncation, reason = "it is below a usize")]
    pub const fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    /// True in `parts` of `whole` cases.
    ///
    /// # Panics
    /// `whole` is 0.
    pub const fn chance(&mut self, parts: u64, whole: u64) -> bool {
        self.below(whole) < parts
    }

    /// Random bytes.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend_from_slice(&self.draw().to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }

    /// One of `items`.
    ///
    /// # Panics
    /// There are none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.index(items.len())]
    }

    /// Puts `items` into a random order.
    pub const fn shuffle<T>(&mut self, items: &mut [T]) {
        let mut end = items.len();
        while end > 1 {
            let chosen = self.index(end);
            end -= 1;
            items.swap(chosen, end);
        }
    }

    /// Another generator, whose choices do not depend on how many this one makes later.
    #[must_use]
    pub const fn fork(&mut self) -> Self {
        Self { number: self.number, state: self.draw() }
    }
}

impl Default for Seed {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "to repeat this run: {VARIABLE}={:#x}", self.number);
        }
    }
}

fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_splitmix64() {
        let mut seed = Seed::from_number(1_234_567);
        let drawn = [seed.draw(), seed.draw(), seed.draw()];
        assert_eq!(drawn, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn a_seed_is_read_in_decimal_and_hexadecimal() {
        assert_eq!((parse(" 17\n"), parse("0x11"), parse("seventeen")), (Some(17), Some(17), None));
    }

    #[test]
    fn a_shuffle_keeps_every_item_and_moves_some() {
        let mut items: Vec<u32> = (0..100).collect();
        Seed::from_number(3).shuffle(&mut items);
        assert!(!items.is_sorted(), "100 items in their old order");
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
