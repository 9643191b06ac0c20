//! The memory that rows may take: `--max-store-bytes`, or a part of the container's limit.

use std::path::Path;

/// Rows may take this many percent of the container's limit; the rest is for objects and documents under way.
const PERCENT: u64 = 70;
/// The files with the container's limit: cgroup v2, then v1.
const LIMIT_FILES: [&str; 2] = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
/// Version 1 writes "no limit" as a number near 2⁶³.
const NO_LIMIT: u64 = 1 << 60;

/// Reads a number of bytes with an optional suffix: `350Mi`, `1G`, `4096`.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no number of bytes; use for example 350Mi or 367001600");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let unit: u64 = match suffix {
        "" => 1,
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        _ => return Err(wrong()),
    };
    number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).ok_or_else(wrong)
}

/// The limit in bytes; 0 = none.
pub(crate) fn of(given: Option<u64>) -> u64 {
    given.unwrap_or_else(|| LIMIT_FILES.iter().find_map(|file| read(Path::new(file))).map_or(0, part))
}

fn part(limit: u64) -> u64 {
    limit / 100 * PERCENT
}

fn read(file: &Path) -> Option<u64> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok().filter(|limit| *limit < NO_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_with_the_suffixes_of_kubernetes() {
        let table = [("0", 0), ("4096", 4096), ("350Mi", 367_001_600), ("1G", 1_000_000_000), ("2Ki", 2048)];
        for (text, bytes) in table {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for text in ["", "Mi", "1.5Gi", "-1", "1TB", "99999999999999999999", "18446744073709551615Ki"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn without_a_flag_rows_may_take_seven_tenths_of_what_the_container_may_use() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("memory.max");
        std::fs::write(&file, "536870912\n").unwrap();
        assert_eq!(read(&file).map(part), Some(375_809_630));
        for none in ["max\n", "9223372036854771712\n"] {
            std::fs::write(&file, none).unwrap();
            assert_eq!(read(&file), None, "{none}");
        }
        assert_eq!(of(Some(0)), 0, "0 means no limit");
    }
}
