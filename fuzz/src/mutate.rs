//! New inputs from old ones.

use fastrand::Rng;

/// Longest input.
const MAX_LENGTH: usize = 6 << 10;

/// The inputs that are worth changing further.
pub struct Pool {
    inputs: Vec<Vec<u8>>,
    words: &'static [&'static str],
}

impl Pool {
    pub fn new(seeds: &[&str], words: &'static [&'static str]) -> Self {
        Self { inputs: seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect(), words }
    }

    pub fn len(&self) -> usize {
        self.inputs.len()
    }

    pub fn keep(&mut self, input: Vec<u8>) {
        self.inputs.push(input);
    }

    /// A changed input. Recent ones are chosen more often.
    pub fn next(&self, random: &mut Rng) -> Vec<u8> {
        let mut input = self.pick(random).to_vec();
        for _ in 0..1 + random.usize(..4) {
            self.change(&mut input, random);
        }
        input.truncate(MAX_LENGTH);
        input
    }

    fn pick(&self, random: &mut Rng) -> &[u8] {
        let count = self.inputs.len();
        let recent = count > 32 && random.bool();
        &self.inputs[if recent { count - 32 + random.usize(..32) } else { random.usize(..count) }]
    }

    fn change(&self, input: &mut Vec<u8>, random: &mut Rng) {
        let at = random.usize(..=input.len());
        let until = at + random.usize(..=(input.len() - at).min(32));
        match random.u8(..10) {
            0 if at < input.len() => input[at] ^= 1 << random.u8(..8),
            1 => input.insert(at, random.u8(..)),
            2 => drop(input.drain(at..until)),
            3 | 4 => self.word(input, at, at, random),
            5 => self.word(input, at, until, random),
            6 => {
                let part = input[at..until].to_vec();
                let times = 1 << random.u8(..9);
                let room = MAX_LENGTH.saturating_sub(input.len()) / part.len().max(1);
                drop(input.splice(at..at, part.repeat(times.min(room))));
            }
            7 => {
                let other = self.pick(random);
                let from = random.usize(..=other.len());
                drop(input.splice(at.., other[from..].iter().copied()));
            }
            8 => {
                let other = self.pick(random);
                let from = random.usize(..=other.len());
                let to = from + random.usize(..=(other.len() - from).min(64));
                drop(input.splice(at..at, other[from..to].iter().copied()));
            }
            _ => {
                let number = [0_i64, 1, -1, 127, 255, 65_536, i64::MAX, i64::MIN, i64::from(u32::MAX)];
                let number = number[random.usize(..number.len())].to_string();
                drop(input.splice(at..until, number.bytes()));
            }
        }
    }

    fn word(&self, input: &mut Vec<u8>, from: usize, to: usize, random: &mut Rng) {
        let word = self.words[random.usize(..self.words.len())];
        drop(input.splice(from..to, word.bytes()));
    }
}
