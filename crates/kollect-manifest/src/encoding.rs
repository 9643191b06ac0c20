//! Decodes UTF-8 with or without a byte order mark, and UTF-16 of either byte order.

use crate::fault::{FaultKind, LineColumn, ManifestFault, ReadError};
use std::borrow::Cow;
use std::io::{Read, Write};

/// Bytes per read.
const CHUNK: usize = 1 << 16;

/// The encoding of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8; the byte order mark takes this many bytes.
    Utf8(usize),
    /// UTF-16, the low byte first.
    Utf16Le(usize),
    /// UTF-16, the high byte first.
    Utf16Be(usize),
    /// UTF-32, which is not read.
    Utf32,
}

impl Encoding {
    /// Detects the encoding by the first four bytes. JSON and YAML begin with an ASCII character, so a zero byte beside it
    /// means UTF-16 without a mark.
    pub fn of(start: &[u8]) -> Self {
        match start {
            [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => Self::Utf32,
            [0xef, 0xbb, 0xbf, ..] => Self::Utf8(3),
            [0xff, 0xfe, ..] => Self::Utf16Le(2),
            [0xfe, 0xff, ..] => Self::Utf16Be(2),
            [1..=0x7f, 0, 1..=0x7f, 0, ..] => Self::Utf16Le(0),
            [0, 1..=0x7f, 0, 1..=0x7f, ..] => Self::Utf16Be(0),
            _ => Self::Utf8(0),
        }
    }
}

/// Text of a file that is in memory.
pub fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, ManifestFault> {
    match Encoding::of(bytes) {
        Encoding::Utf8(mark) => utf8(&bytes[mark..], LineColumn::default()).map(Cow::Borrowed),
        other => {
            let mut text = Vec::with_capacity(bytes.len());
            match transcode(&mut &bytes[..], other, &mut text) {
                Ok(()) => Ok(Cow::Owned(String::from_utf8_lossy(&text).into_owned())),
                Err(ReadError::Fault(fault)) => Err(fault),
                Err(_) => Err(ManifestFault::new(LineColumn::default(), FaultKind::BrokenUtf16)),
            }
        }
    }
}

/// The text of bytes that begin at `place`.
pub(crate) fn utf8(bytes: &[u8], place: LineColumn) -> Result<&str, ManifestFault> {
    std::str::from_utf8(bytes)
        .map_err(|error| ManifestFault::new(place.advanced(bytes, error.valid_up_to()), FaultKind::NotUtf8))
}

/// Writes the text of a file of another encoding as UTF-8, a chunk at a time.
pub fn transcode(from: &mut dyn Read, encoding: Encoding, to: &mut dyn Write) -> Result<(), ReadError> {
    let (mark, unit): (usize, fn([u8; 2]) -> u16) = match encoding {
        Encoding::Utf16Le(mark) => (mark, u16::from_le_bytes),
        Encoding::Utf16Be(mark) => (mark, u16::from_be_bytes),
        Encoding::Utf32 => return Err(ManifestFault::new(LineColumn::default(), FaultKind::Utf32).into()),
        Encoding::Utf8(mark) => {
            std::io::copy(&mut from.take(mark as u64), &mut std::io::sink())?;
            std::io::copy(from, to)?;
            return Ok(());
        }
    };
    std::io::copy(&mut from.take(mark as u64), &mut std::io::sink())?;
    let mut place = LineColumn::default();
    let mut bytes = Vec::with_capacity(CHUNK);
    let mut text = String::with_capacity(CHUNK);
    // A high surrogate at the end of a chunk is kept for the next one.
    let mut high: Option<u16> = None;
    loop {
        bytes.clear();
        from.take(CHUNK as u64).read_to_end(&mut bytes)?;
        if bytes.is_empty() {
            return if high.is_some() { Err(ManifestFault::new(place, FaultKind::BrokenUtf16).into()) } else { Ok(()) };
        }
        let odd = bytes.len() % 2 == 1;
        let units = high.take().into_iter().chain(bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])));
        text.clear();
        let mut all = char::decode_utf16(units).peekable();
        while let Some(next) = all.next() {
            match next {
                Ok(c) => text.push(c),
                Err(error) if all.peek().is_none() && !odd && error.unpaired_surrogate() < 0xdc00 => {
                    high = Some(error.unpaired_surrogate());
                }
                Err(_) => {
                    let place = place.advanced(text.as_bytes(), text.len());
                    return Err(ManifestFault::new(place, FaultKind::BrokenUtf16).into());
                }
            }
        }
        place = place.advanced(text.as_bytes(), text.len());
        if odd {
            return Err(ManifestFault::new(place, FaultKind::BrokenUtf16).into());
        }
        to.write_all(text.as_bytes())?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, mark: bool, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        let mark = if mark { "\u{feff}" } else { "" };
        format!("{mark}{text}").encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn utf_8_and_utf_16_of_either_order_are_the_same_text() {
        let text = format!("kind: {}é😀\n", "x".repeat(CHUNK));
        for bytes in [
            text.clone().into_bytes(),
            format!("\u{feff}{text}").into_bytes(),
            utf16(&text, true, u16::to_le_bytes),
            utf16(&text, true, u16::to_be_bytes),
            utf16(&text, false, u16::to_le_bytes),
            utf16(&text, false, u16::to_be_bytes),
        ] {
            assert_eq!(decode(&bytes).unwrap(), text);
        }
    }

    #[test]
    fn what_is_no_text_is_located() {
        let fault = decode(b"a: 1\nb: \xff\n").unwrap_err();
        assert_eq!((fault.place, fault.what), (LineColumn { line: 2, column: 4 }, FaultKind::NotUtf8));
        let mut cut = utf16("a: 1\nb", true, u16::to_le_bytes);
        cut.pop();
        assert_eq!(decode(&cut).unwrap_err().what, FaultKind::BrokenUtf16);
        let lone: Vec<u8> = [0xfeff_u16, 0x61, 0xd800, 0x62].iter().flat_map(|unit| unit.to_le_bytes()).collect();
        assert_eq!(decode(&lone).unwrap_err().place, LineColumn { line: 1, column: 2 });
        assert_eq!(decode(&[0xff, 0xfe, 0, 0, 0x61, 0, 0, 0]).unwrap_err().what, FaultKind::Utf32);
    }
}
