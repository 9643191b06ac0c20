//! Checks a server's answers against the limits before libgit2 reads them.
//!
//! It splits an answer into packets by libgit2's rules, so that both find the same pack.

use super::limits::{Pace, TransferLimits};
use super::pack_check::PackCheck;
use crate::error::GitError;
use std::time::Duration;

/// Bytes charged per chunk of an answer in addition to its length, so that many small chunks are not free.
const PIECE: u64 = 64;
const DATA: u8 = 1;
const PROGRESS: u8 = 2;
const ERROR: u8 = 3;

/// Totals and parser state of one conversation.
pub(super) struct Download {
    limits: TransferLimits,
    received: u64,
    listing: u64,
    messages: u64,
    pace: Pace,
    at: PacketState,
    /// Set from the first byte of a pack on.
    pack: Option<PackCheck>,
    /// The pack has been sent.
    ended: bool,
    /// The answer of a push: it holds no pack.
    pushing: bool,
}

/// Where in a packet the next byte is.
enum PacketState {
    Length(Vec<u8>),
    Channel { left: usize },
    Data { left: usize },
    Message { left: usize },
    Text { left: usize },
}

impl Download {
    pub(super) fn new(limits: TransferLimits) -> Self {
        Self {
            limits,
            received: 0,
            listing: 0,
            messages: 0,
            pace: Pace::default(),
            at: PacketState::Length(Vec::new()),
            pack: None,
            ended: false,
            pushing: false,
        }
    }

    /// A new request begins. libgit2 may drop what it has not read of the last answer, so that must have ended.
    pub(super) fn next_request(&mut self, pushing: bool) -> Result<(), GitError> {
        self.pushing |= pushing;
        let between = matches!(&self.at, PacketState::Length(digits) if digits.is_empty());
        if between { Ok(()) } else { Err(protocol("its answer ended in the middle of a packet")) }
    }

    /// Error texts beside the answer.
    pub(super) fn messages(&mut self, waited: Duration, bytes: usize) -> Result<(), GitError> {
        self.pace.add(waited, bytes, &self.limits)?;
        self.messages += bytes as u64;
        self.check_messages()
    }

    /// Checks the next bytes of an answer, for which the connection waited.
    pub(super) fn take(&mut self, waited: Duration, mut bytes: &[u8]) -> Result<(), GitError> {
        self.pace.add(waited, bytes.len(), &self.limits)?;
        self.received += PIECE + bytes.len() as u64;
        if self.received > self.limits.received {
            return Err(GitError::TooMuch(format!("more than {} bytes", self.limits.received)));
        }
        if self.pushing {
            self.listing += bytes.len() as u64;
            return self.check_listing();
        }
        while !bytes.is_empty() {
            let used = self.step(bytes)?;
            bytes = &bytes[used..];
        }
        Ok(())
    }

    fn step(&mut self, bytes: &[u8]) -> Result<usize, GitError> {
        let take = |left: usize| left.min(bytes.len());
        let (used, left) = match &mut self.at {
            PacketState::Length(digits) => {
                digits.push(bytes[0]);
                if digits.len() == 4 {
                    self.begin()?;
                }
                return Ok(1);
            }
            PacketState::Channel { left } => {
                let left = *left;
                return self.channel(bytes[0], left);
            }
            PacketState::Data { left } => {
                let used = take(*left);
                self.pack.get_or_insert_with(PackCheck::new).feed(&bytes[..used], &self.limits)?;
                *left -= used;
                (used, *left)
            }
            PacketState::Message { left } | PacketState::Text { left } => {
                let used = take(*left);
                *left -= used;
                (used, *left)
            }
        };
        if left == 0 {
            self.at = PacketState::Length(Vec::new());
        }
        Ok(used)
    }

    fn begin(&mut self) -> Result<(), GitError> {
        let PacketState::Length(digits) = &self.at else { return Ok(()) };
        let text = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|c| c.is_ascii_hexdigit()));
        let length = text.and_then(|text| usize::from_str_radix(text, 16).ok());
        self.at = match length {
            Some(0) => {
                if let Some(pack) = &self.pack {
                    pack.finish()?;
                    self.ended = true;
                }
                PacketState::Length(Vec::new())
            }
            Some(length) if length > 4 => PacketState::Channel { left: length - 4 },
            Some(_) => return Err(protocol("it sent an empty packet")),
            None if digits == b"PACK" => {
                return Err(protocol("it does not offer side-band-64k, which every Git server has"));
            }
            None => return Err(protocol("it sent a packet without a length")),
        };
        Ok(())
    }

    /// The first byte of a packet is its side-band channel.
    fn channel(&mut self, byte: u8, left: usize) -> Result<usize, GitError> {
        let size = left as u64;
        match byte {
            DATA if self.ended => return Err(protocol("something follows the pack")),
            DATA => self.at = PacketState::Data { left },
            PROGRESS | ERROR => {
                self.messages += size;
                self.check_messages()?;
                self.at = PacketState::Message { left };
            }
            _ if self.pack.is_some() => return Err(protocol("it goes on to negotiate inside of a pack")),
            _ => {
                self.listing += size;
                self.check_listing()?;
                self.at = PacketState::Text { left };
                return Ok(0);
            }
        }
        // The byte itself; a packet may hold nothing else.
        match &mut self.at {
            PacketState::Data { left } | PacketState::Message { left } if *left > 1 => *left -= 1,
            _ => self.at = PacketState::Length(Vec::new()),
        }
        Ok(1)
    }

    fn check_messages(&self) -> Result<(), GitError> {
        if self.messages <= self.limits.messages {
            return Ok(());
        }
        Err(protocol(&format!("it sent more than {} bytes of messages", self.limits.messages)))
    }

    fn check_listing(&self) -> Result<(), GitError> {
        if self.listing <= self.limits.listing {
            return Ok(());
        }
        Err(GitError::TooMuch(format!("more branches and tags than fit into {} bytes", self.limits.listing)))
    }
}

fn protocol(what: &str) -> GitError {
    GitError::Protocol(format!("the server does not keep to Git's protocol: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: TransferLimits =
        TransferLimits { listing: 1000, messages: 100, received: 200_000, ..TransferLimits::DEFAULT };
    const EMPTY_PACK: &[u8] = b"PACK\0\0\0\x02\0\0\0\0aaaaaaaaaaaaaaaaaaaa";

    fn packet(content: &[u8]) -> Vec<u8> {
        [format!("{:04x}", content.len() + 4).as_bytes(), content].concat()
    }

    fn on(channel: u8, content: &[u8]) -> Vec<u8> {
        packet(&[&[channel], content].concat())
    }

    /// PacketState once and byte by byte.
    fn check(answers: &[Vec<u8>]) -> Result<(), String> {
        let (mut whole, mut bits) = (Download::new(LIMITS), Download::new(LIMITS));
        let mut outcome = Ok(());
        for answer in answers {
            let text = |failure: GitError| failure.to_string();
            let at_once = whole.next_request(false).and_then(|()| whole.take(Duration::ZERO, answer));
            let in_bits = bits
                .next_request(false)
                .and_then(|()| answer.chunks(1).try_for_each(|byte| bits.take(Duration::ZERO, byte)));
            assert_eq!(at_once.is_ok(), in_bits.is_ok());
            outcome = outcome.and(at_once.map_err(text));
        }
        outcome
    }

    #[test]
    fn an_ordinary_fetch_passes() {
        let listing = [
            packet(b"# service=git-upload-pack\n"),
            b"0000".to_vec(),
            packet(b"abc refs/heads/main\n"),
            b"0000".to_vec(),
        ];
        let (first, second) = EMPTY_PACK.split_at(7);
        let answer = [
            packet(b"shallow abc"),
            b"0000".to_vec(),
            packet(b"NAK\n"),
            on(2, b"Counting objects"),
            on(1, first),
            on(1, b""),
            on(2, b""),
            on(1, second),
            b"0000".to_vec(),
        ];
        check(&[listing.concat(), packet(b"NAK\n"), answer.concat()]).unwrap();
    }

    #[test]
    fn floods_are_refused() {
        for (answer, word) in [
            (packet(b"abc refs/heads/x\n").repeat(100), "branches and tags"),
            (on(2, &[b'x'; 60]).repeat(2), "messages"),
            (on(3, &[b'x'; 60]).repeat(2), "messages"),
            (on(1, b"").repeat(40_000), "200000 bytes"),
            (b"0000".repeat(60_000), "200000 bytes"),
        ] {
            let error = check(&[answer]).unwrap_err();
            assert!(error.contains(word), "{word}: {error}");
        }
        let mut push = Download::new(LIMITS);
        push.next_request(true).unwrap();
        assert!(push.take(Duration::ZERO, &[b'x'; 2000]).is_err());
    }

    #[test]
    fn a_pack_cannot_hide_from_the_check() {
        let pack = on(1, EMPTY_PACK);
        let cases: [Vec<Vec<u8>>; 9] = [
            // After a harmless one, inside one, or without packets.
            vec![[pack.clone(), pack.clone()].concat()],
            vec![[pack.clone(), b"0000".to_vec(), pack.clone()].concat()],
            vec![[on(1, b"PACK"), packet(b"NAK\n"), pack.clone()].concat()],
            vec![on(1, b"PACK"), [packet(b"NAK\n"), pack].concat()],
            vec![EMPTY_PACK.to_vec()],
            // Behind a packet that has not ended.
            vec![b"0040A".to_vec(), packet(b"NAK\n")],
            vec![[on(1, b"PACK"), b"0000".to_vec()].concat()],
            vec![b"0004".to_vec()],
            vec![b"+00a123456".to_vec()],
        ];
        for answers in cases {
            let error = check(&answers).unwrap_err();
            assert!(error.contains("protocol") || error.contains("broken pack"), "{error}");
        }
    }

    #[test]
    fn a_server_may_be_slow_only_while_enough_moves() {
        let mut slow = Pace::default();
        slow.add(LIMITS.patience, 10, &LIMITS).unwrap();
        assert!(slow.add(Duration::from_secs(1), 10, &LIMITS).is_err());
        let mut large = Pace::default();
        for _ in 0..100 {
            large.add(Duration::from_mins(1), 8 << 20, &LIMITS).unwrap();
        }
    }
}
