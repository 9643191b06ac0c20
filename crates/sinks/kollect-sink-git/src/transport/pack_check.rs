//! Checks a pack while it arrives, before libgit2 unpacks it.
//!
//! libgit2 allocates the sizes that a pack declares, so a few kilobytes can take gigabytes. This module inflates
//! everything first, into a small buffer that is discarded.

use super::limits::TransferLimits;
use crate::error::GitError;
use flate2::{Decompress, FlushDecompress, Status};
use std::collections::HashMap;

const SCRATCH: usize = 32 * 1024;
const CHECKSUM: u64 = 20;
/// A delta begins with two sizes of at most ten bytes each.
const DELTA_HEAD: usize = 20;
/// libgit2 tries every delta again for every base that turns up, so many of those that name their base by its hash take
/// quadratic time. A server sends them only against what the mirror has; without a mirror there are none.
const MAX_HASH_DELTAS: u32 = 10_000;

/// The state of one pack.
pub(super) struct PackCheck {
    at: PackState,
    /// Bytes of the pack so far.
    position: u64,
    objects_left: u32,
    inflated: u64,
    /// Bytes that unpacking every delta from the start of its chain copies.
    delta_work: u64,
    hash_deltas: u32,
    /// Length of the chain below each delta, by its position.
    depths: HashMap<u64, u16>,
    inflate: Decompress,
    scratch: Box<[u8]>,
}

enum PackState {
    Head(Vec<u8>),
    Object(ObjectHead),
    Body(Body),
    Checksum(u64),
    End,
}

/// The bytes before an object's content.
#[derive(Default)]
struct ObjectHead {
    start: u64,
    bytes: Vec<u8>,
}

struct Body {
    start: u64,
    kind: Kind,
    size: u64,
    produced: u64,
    /// The first bytes of a delta.
    head: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A commit, tree or tag: it is parsed as a whole.
    Parsed,
    Blob,
    Delta {
        depth: u16,
    },
}

fn too_much(what: String) -> GitError {
    GitError::TooMuch(what)
}

fn broken(why: &str) -> GitError {
    GitError::Protocol(format!("the server sent a broken pack: {why}"))
}

/// A number in groups of seven bits, lowest first; `None` when more bytes are needed.
fn little_varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    for (at, byte) in bytes.iter().enumerate().take(9) {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, at + 1));
        }
    }
    None
}

impl PackCheck {
    pub(super) fn new() -> Self {
        Self {
            at: PackState::Head(Vec::new()),
            position: 0,
            objects_left: 0,
            inflated: 0,
            delta_work: 0,
            hash_deltas: 0,
            depths: HashMap::new(),
            inflate: Decompress::new(true),
            scratch: vec![0; SCRATCH].into_boxed_slice(),
        }
    }

    /// Takes the next bytes of the pack.
    pub(super) fn feed(&mut self, mut bytes: &[u8], limits: &TransferLimits) -> Result<(), GitError> {
        while !bytes.is_empty() {
            let used = match &mut self.at {
                PackState::Head(head) => {
                    let used = bytes.len().min(12 - head.len());
                    head.extend_from_slice(&bytes[..used]);
                    if head.len() == 12 {
                        let head = std::mem::take(head);
                        self.begin(&head, limits)?;
                    }
                    used
                }
                PackState::Object(head) => {
                    head.bytes.push(bytes[0]);
                    if let Some(body) = self.object_head(limits)? {
                        self.inflate.reset(true);
                        self.at = PackState::Body(body);
                    }
                    1
                }
                PackState::Body(_) => self.body(bytes, limits)?,
                PackState::Checksum(left) => {
                    let used = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= used as u64;
                    if *left == 0 {
                        self.at = PackState::End;
                    }
                    used
                }
                PackState::End => return Err(broken("something follows its checksum")),
            };
            self.position += used as u64;
            bytes = &bytes[used..];
        }
        Ok(())
    }

    /// Fails when the pack is not whole.
    pub(super) fn finish(&self) -> Result<(), GitError> {
        if matches!(self.at, PackState::End) { Ok(()) } else { Err(broken("it ends too early")) }
    }

    fn begin(&mut self, head: &[u8], limits: &TransferLimits) -> Result<(), GitError> {
        let number = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        if &head[..4] != b"PACK" || !matches!(number(4), 2 | 3) {
            return Err(broken("it does not begin like one"));
        }
        self.objects_left = number(8);
        if self.objects_left > limits.objects {
            return Err(too_much(format!("{} objects, and {} are allowed", self.objects_left, limits.objects)));
        }
        self.next_object(12);
        Ok(())
    }

    fn next_object(&mut self, start: u64) {
        self.at = match self.objects_left {
            0 => PackState::Checksum(CHECKSUM),
            _ => PackState::Object(ObjectHead { start, bytes: Vec::new() }),
        };
    }

    /// The head of an object; `None` when more bytes are needed.
    fn object_head(&mut self, limits: &TransferLimits) -> Result<Option<Body>, GitError> {
        let PackState::Object(ObjectHead { start, bytes }) = &self.at else { return Ok(None) };
        let start = *start;
        // Four bits of the size, then groups of seven.
        let first = bytes[0];
        let (more, used) = if first & 0x80 == 0 {
            (0, 1)
        } else {
            match little_varint(&bytes[1..]) {
                Some((more, used)) => (more, used + 1),
                None if bytes.len() > 9 => return Err(broken("the size of an object has too many digits")),
                None => return Ok(None),
            }
        };
        let size = more.checked_mul(16).ok_or_else(|| broken("the size of an object has too many digits"))?
            | u64::from(first & 0x0f);
        let base = &bytes[used..];
        let kind = match first >> 4 & 7 {
            1 | 2 | 4 => Kind::Parsed,
            3 => Kind::Blob,
            6 => match distance(base)? {
                None => return Ok(None),
                Some(distance) => {
                    let below = start.checked_sub(distance).and_then(|base| self.depths.get(&base)).copied();
                    Kind::Delta { depth: below.unwrap_or(0).saturating_add(1) }
                }
            },
            7 if base.len() < 20 => return Ok(None),
            7 => {
                self.hash_deltas += 1;
                if self.hash_deltas > MAX_HASH_DELTAS {
                    // A fetch without a mirror does not have them.
                    return Err(GitError::Mirror("too many changed objects to fetch; starting anew".to_owned()));
                }
                Kind::Delta { depth: 1 }
            }
            _ => return Err(broken("an object has an unknown type")),
        };
        let most = if kind == Kind::Blob { limits.object } else { limits.parsed_object };
        check_size(size, most)?;
        Ok(Some(Body { start, kind, size, produced: 0, head: Vec::new() }))
    }

    /// Inflates what is there of an object; returns how much of it was used.
    fn body(&mut self, bytes: &[u8], limits: &TransferLimits) -> Result<usize, GitError> {
        let PackState::Body(body) = &mut self.at else { return Ok(0) };
        let mut used = 0;
        loop {
            let (read, written) = (self.inflate.total_in(), self.inflate.total_out());
            let status = self
                .inflate
                .decompress(&bytes[used..], &mut self.scratch, FlushDecompress::None)
                .map_err(|_| broken("the content of an object cannot be inflated"))?;
            let consumed = usize::try_from(self.inflate.total_in() - read).unwrap_or(usize::MAX);
            let made = usize::try_from(self.inflate.total_out() - written).unwrap_or(usize::MAX);
            used += consumed;
            body.produced += made as u64;
            if body.produced > body.size {
                return Err(broken("an object is larger than it declares"));
            }
            if matches!(body.kind, Kind::Delta { .. }) && body.head.len() < DELTA_HEAD {
                let room = (DELTA_HEAD - body.head.len()).min(made);
                body.head.extend_from_slice(&self.scratch[..room]);
            }
            self.inflated += made as u64;
            check_total(self.inflated, limits)?;
            if status == Status::StreamEnd {
                break;
            }
            if used == bytes.len() && made < self.scratch.len() {
                return Ok(used);
            }
            if consumed == 0 && made == 0 {
                return Err(broken("the content of an object does not end"));
            }
        }
        if body.produced != body.size {
            return Err(broken("an object is smaller than it declares"));
        }
        let (start, kind, head) = (body.start, body.kind, std::mem::take(&mut body.head));
        if let Kind::Delta { depth } = kind {
            self.delta(start, depth, &head, limits)?;
        }
        self.objects_left -= 1;
        self.next_object(self.position + used as u64);
        Ok(used)
    }

    /// Charges the result of a delta.
    fn delta(&mut self, start: u64, depth: u16, head: &[u8], limits: &TransferLimits) -> Result<(), GitError> {
        let sizes = little_varint(head).and_then(|(_, used)| little_varint(&head[used..]));
        let (size, _) = sizes.ok_or_else(|| broken("a delta has no sizes"))?;
        check_size(size, limits.parsed_object)?;
        self.inflated = self.inflated.saturating_add(size);
        check_total(self.inflated, limits)?;
        self.delta_work = self.delta_work.saturating_add(size.saturating_mul(u64::from(depth)));
        if self.delta_work > limits.delta_work {
            return Err(too_much("chains of differences that take too long to unpack".to_owned()));
        }
        self.depths.insert(start, depth);
        Ok(())
    }
}

/// How far back the base of a delta is; `None` when more bytes are needed.
fn distance(bytes: &[u8]) -> Result<Option<u64>, GitError> {
    let mut value = 0_u64;
    for (at, byte) in bytes.iter().enumerate() {
        if at > 8 {
            return Err(broken("the base of a delta is too far away"));
        }
        if at > 0 {
            value += 1;
        }
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

fn check_size(size: u64, most: u64) -> Result<(), GitError> {
    if size <= most {
        return Ok(());
    }
    Err(too_much(format!("a file or folder of {size} bytes, and {most} are allowed")))
}

fn check_total(inflated: u64, limits: &TransferLimits) -> Result<(), GitError> {
    if inflated <= limits.inflated {
        return Ok(());
    }
    Err(too_much(format!("more than {} bytes of files", limits.inflated)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use std::io::Write as _;

    const LIMITS: TransferLimits = TransferLimits {
        objects: 100,
        object: 1000,
        parsed_object: 500,
        inflated: 5000,
        delta_work: 6000,
        ..TransferLimits::DEFAULT
    };

    fn deflated(content: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn head(kind: u8, mut size: u64) -> Vec<u8> {
        let mut bytes = vec![kind << 4 | u8::try_from(size & 0xf).unwrap()];
        size >>= 4;
        while size > 0 {
            *bytes.last_mut().unwrap() |= 0x80;
            bytes.push(u8::try_from(size & 0x7f).unwrap());
            size >>= 7;
        }
        bytes
    }

    fn object(kind: u8, declared: u64, base: &[u8], content: &[u8]) -> Vec<u8> {
        [head(kind, declared), base.to_vec(), deflated(content)].concat()
    }

    fn whole(kind: u8, content: &[u8]) -> Vec<u8> {
        object(kind, content.len() as u64, &[], content)
    }

    /// A delta from 16 bytes to `result` bytes, without its instructions.
    fn delta(base: &[u8], kind: u8, result: u64) -> Vec<u8> {
        let mut content = vec![16];
        let mut rest = result;
        while rest > 0x7f {
            content.push(0x80 | u8::try_from(rest & 0x7f).unwrap());
            rest >>= 7;
        }
        content.push(u8::try_from(rest).unwrap());
        object(kind, content.len() as u64, base, &content)
    }

    fn pack(objects: &[Vec<u8>]) -> Vec<u8> {
        let count = u32::try_from(objects.len()).unwrap().to_be_bytes();
        [b"PACK\0\0\0\x02".to_vec(), count.to_vec(), objects.concat(), vec![0; 20]].concat()
    }

    /// Whole, and byte by byte: both must be the same.
    fn check(bytes: &[u8]) -> Result<(), String> {
        let at_once = PackCheck::new().feed(bytes, &LIMITS).map_err(|failure| failure.to_string());
        let mut check = PackCheck::new();
        let in_bits = bytes.iter().try_for_each(|byte| check.feed(&[*byte], &LIMITS)).map_err(|t| t.to_string());
        assert_eq!(at_once, in_bits);
        if at_once.is_ok() {
            assert!(matches!(check.at, PackState::End), "the pack has an end");
        }
        at_once
    }

    #[test]
    fn packs_within_the_limits_pass() {
        check(&pack(&[])).unwrap();
        check(&pack(&[
            whole(3, b""),
            whole(3, &[7; 1000]),
            whole(2, &[1; 500]),
            whole(1, b"tree x"),
            whole(4, b"tag"),
        ]))
        .unwrap();
        let base = whole(3, &[9; 16]);
        let back = u8::try_from(base.len()).unwrap();
        check(&pack(&[base, delta(&[back], 6, 400), delta(&[3; 20], 7, 400)])).unwrap();
    }

    #[test]
    fn what_is_too_large_is_refused_by_its_declared_size() {
        for (objects, word) in [
            (vec![object(3, 1001, &[], b"")], "1001 bytes"),
            (vec![object(3, 1_500_000_000, &[], b"")], "1500000000 bytes"),
            (vec![object(2, 501, &[], b"")], "501 bytes"),
            (vec![object(6, 501, &[1], b"")], "501 bytes"),
            (vec![delta(&[1], 6, 501)], "501 bytes"),
            (vec![delta(&[1; 20], 7, 1 << 40)], "bytes"),
            (vec![whole(3, &[0; 1000]); 6], "more than 5000"),
            (vec![delta(&[1], 6, 499); 11], "more than 5000"),
            (vec![whole(3, b""); 101], "101 objects"),
        ] {
            let error = check(&pack(&objects)).unwrap_err();
            assert!(error.contains(word) && error.contains("repository"), "{word}: {error}");
        }
    }

    #[test]
    fn lies_about_lengths_are_refused() {
        let garbage = [head(3, 10), vec![1, 2, 3, 4, 5, 6, 7, 8, 9]].concat();
        let long_size = vec![0xb0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        let far = [head(6, 10), vec![0xff; 12]].concat();
        for bytes in [
            pack(&[object(3, 5, &[], &[0; 900])]),
            pack(&[object(3, 900, &[], &[0; 5])]),
            pack(&[object(5, 1, &[], b"x")]),
            pack(&[object(0, 1, &[], b"x")]),
            pack(&[garbage]),
            pack(&[long_size]),
            pack(&[far]),
            pack(&[object(6, 1, &[1], &[0x80])]),
            [pack(&[whole(3, b"x")]), vec![0]].concat(),
            b"PACX\0\0\0\x02\0\0\0\0".to_vec(),
            b"PACK\0\0\0\x09\0\0\0\0".to_vec(),
        ] {
            let error = check(&bytes).unwrap_err();
            assert!(error.contains("broken pack"), "{error}");
        }
    }

    #[test]
    fn long_chains_of_large_deltas_are_refused() {
        let mut objects = vec![whole(3, &[9; 16])];
        for _ in 0..11 {
            let back = u8::try_from(objects.last().unwrap().len()).unwrap();
            objects.push(delta(&[back], 6, 100));
        }
        // 100 · (1 + 2 + … + 11) = 6,600.
        assert!(check(&pack(&objects)).unwrap_err().contains("take too long"));
        objects.pop();
        check(&pack(&objects)).unwrap();
    }
}
