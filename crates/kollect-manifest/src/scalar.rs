//! The value of a YAML scalar as in `kubectl`: YAML 1.1 booleans, octal and hexadecimal numbers, no dates.

use crate::fault::FaultKind;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use granit_parser::{ScalarStyle, Tag};
use serde_json::Value;

const CORE: &str = "tag:yaml.org,2002:";

/// The value of a scalar with its notation and tag.
pub(crate) fn value(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, FaultKind> {
    let Some(tag) = tag else {
        return if style == ScalarStyle::Plain { plain(text) } else { Ok(text.into()) };
    };
    // Tags of applications and the bare `!` make a scalar a text.
    let Some(name) = tag.suffix_in_namespace(CORE) else { return Ok(text.into()) };
    let as_read = || plain(text);
    match &*name {
        "null" => as_read().ok().filter(Value::is_null).ok_or(FaultKind::BadTag("null")),
        "bool" => as_read().ok().filter(Value::is_boolean).ok_or(FaultKind::BadTag("bool")),
        "int" => as_read().ok().filter(|value| value.is_i64() || value.is_u64()).ok_or(FaultKind::BadTag("int")),
        "float" => match as_read()? {
            value if value.is_number() => Ok(value),
            _ => Err(FaultKind::BadTag("float")),
        },
        "binary" => {
            let packed: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
            let bytes = STANDARD.decode(packed).map_err(|_| FaultKind::BadTag("binary"))?;
            Ok(String::from_utf8_lossy(&bytes).into_owned().into())
        }
        _ => Ok(text.into()),
    }
}

/// The value of a plain scalar without a tag.
fn plain(text: &str) -> Result<Value, FaultKind> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Ok(true.into()),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Ok(false.into());
        }
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf"
        | "-.INF" => return Err(FaultKind::NotFinite),
        _ => {}
    }
    let number = match text.as_bytes().first() {
        Some(b'0'..=b'9' | b'+' | b'-') => {
            let digits = text.replace('_', "");
            integer(&digits).or_else(|| float(&digits))
        }
        Some(b'.') => float(text),
        _ => None,
    };
    Ok(number.unwrap_or_else(|| text.into()))
}

/// A 64-bit integer: decimal, `0x1F`, `0o17`, `017` and `0b11`.
fn integer(text: &str) -> Option<Value> {
    let (negative, signed, digits) = match text.as_bytes().first()? {
        b'-' => (true, true, &text[1..]),
        b'+' => (false, true, &text[1..]),
        _ => (false, false, text),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', _, ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', _, ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', _, ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if !digits.bytes().all(|digit| digit.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        return 0_i64.checked_sub_unsigned(magnitude).map(Value::from);
    }
    // A number with a sign is signed: above its range it is read as a decimal fraction.
    match i64::try_from(magnitude) {
        Ok(number) => Some(number.into()),
        Err(_) if signed => None,
        Err(_) => Some(magnitude.into()),
    }
}

/// A decimal number that is finite; a whole one becomes an integer, as on its way through Go's JSON.
fn float(text: &str) -> Option<Value> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    let is_mantissa = match mantissa.split_once('.') {
        None => digits(mantissa),
        Some(("", fraction)) => digits(fraction),
        Some((whole, fraction)) => digits(whole) && (fraction.is_empty() || digits(fraction)),
    };
    let is_exponent = exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['-', '+']).unwrap_or(exponent)));
    if !is_mantissa || !is_exponent {
        return None;
    }
    let number: f64 = text.parse().ok().filter(|number: &f64| number.is_finite())?;
    if number.fract() == 0.0
        && let Ok(whole) = format!("{number}").parse::<i64>()
    {
        return Some(whole.into());
    }
    serde_json::Number::from_f64(number).map(Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn plain_scalars_have_the_values_that_kubectl_gives_them() {
        for (text, wanted) in [
            ("0644", json!(420)),
            ("0o17", json!(15)),
            ("0O17", json!(15)),
            ("0x1F", json!(31)),
            ("-0x1F", json!(-31)),
            ("0b101", json!(5)),
            ("1_000", json!(1000)),
            ("0_644", json!(420)),
            ("_1000", json!("_1000")),
            ("08", json!(8)),
            ("0", json!(0)),
            ("-0", json!(0)),
            ("+5", json!(5)),
            ("0x", json!("0x")),
            ("0b2", json!("0b2")),
            ("9223372036854775807", json!(i64::MAX)),
            ("-9223372036854775808", json!(i64::MIN)),
            ("18446744073709551615", json!(u64::MAX)),
            ("18446744073709551616", json!(18_446_744_073_709_551_616_f64)),
            ("1.0", json!(1)),
            ("1.", json!(1)),
            (".5", json!(0.5)),
            ("-.5", json!(-0.5)),
            ("1e3", json!(1000)),
            ("1e-3", json!(0.001)),
            ("1.5E+2", json!(150)),
            ("12e34567", json!("12e34567")),
            ("1e", json!("1e")),
            ("1.2.3", json!("1.2.3")),
            ("1:30", json!("1:30")),
            ("2024-01-31", json!("2024-01-31")),
            ("2024-01-31T10:00:00Z", json!("2024-01-31T10:00:00Z")),
            ("yes", json!(true)),
            ("On", json!(true)),
            ("y", json!(true)),
            ("no", json!(false)),
            ("OFF", json!(false)),
            ("N", json!(false)),
            ("yEs", json!("yEs")),
            ("~", json!(null)),
            ("", json!(null)),
            ("NULL", json!(null)),
            ("nULL", json!("nULL")),
            ("-", json!("-")),
            ("+", json!("+")),
            ("infinity", json!("infinity")),
            ("1e5x", json!("1e5x")),
            ("٣", json!("٣")),
        ] {
            assert_eq!(plain(text).unwrap(), wanted, "{text}");
        }
        for text in [".inf", "-.Inf", "+.INF", ".nan", ".NaN"] {
            assert_eq!(plain(text).unwrap_err(), FaultKind::NotFinite, "{text}");
        }
    }
}
