//! Values on the command line, in the spelling of `pulsar-admin`: 10m, 1G, 7d, `ledger:entry`.

use geminga_types::TopicName;
use serde_json::{Map, Value, json};

use super::verb::Kind;

/// A message id before every other, and one behind.
const EARLIEST: i64 = -1;
const LATEST: i64 = i64::MAX;

/// Reads one value.
///
/// # Errors
///
/// What was expected.
pub(super) fn parse(kind: Kind, text: &str) -> Result<Value, String> {
    Ok(match kind {
        Kind::Text | Kind::List | Kind::OneOf(_) => text.into(),
        Kind::Number | Kind::Numbers => number(text)?.into(),
        Kind::Decimal => {
            let given = text.parse::<f64>().ok().filter(|number| number.is_finite());
            given.ok_or("expected a number")?.into()
        }
        Kind::Switch | Kind::EitherOf(_) => true.into(),
        Kind::Map => pair(text)?,
        Kind::Bytes => bytes(text)?.into(),
        Kind::Megabytes => (if bytes(text)? < 0 { -1 } else { bytes(text)? >> 20 }).into(),
        Kind::Seconds => seconds(text)?.into(),
        Kind::Minutes => (if seconds(text)? < 0 { -1 } else { seconds(text)? / 60 }).into(),
        Kind::Millis | Kind::Ago => {
            let millis = seconds(text)?.checked_mul(1_000);
            millis.ok_or_else(|| format!("{text} is too long"))?.into()
        }
        Kind::Time => time(text)?.into(),
        Kind::Position => position(text)?,
        Kind::Domain => match text {
            "persistent" => text.into(),
            "non_persistent" | "non-persistent" => "non-persistent".into(),
            _ => return Err("expected persistent or non_persistent".to_owned()),
        },
        Kind::Namespace => match text.split('/').collect::<Vec<_>>()[..] {
            [tenant, name] if !tenant.is_empty() && !name.is_empty() => text.into(),
            _ => return Err("expected tenant/namespace".to_owned()),
        },
        Kind::Topic => {
            let topic: TopicName = text.parse().map_err(|error| format!("{error}"))?;
            topic.to_string().into()
        }
        Kind::File => {
            let read = std::fs::read(text).map_err(|error| error.to_string())?;
            serde_json::from_slice(&read).map_err(|error| format!("expected JSON: {error}"))?
        }
    })
}

fn number(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| "expected a whole number".to_owned())
}

fn pair(text: &str) -> Result<Value, String> {
    let (key, value) = text.split_once('=').ok_or("expected key=value")?;
    if key.is_empty() {
        return Err("the key is missing".to_owned());
    }
    Ok(Map::from_iter([(key.to_owned(), value.into())]).into())
}

/// A number with a unit, which is the last letter.
fn measured(text: &str, unit: impl Fn(char) -> Option<i64>) -> Option<i64> {
    let last = text.chars().next_back()?;
    let (digits, factor) = match unit(last) {
        Some(factor) => (&text[..text.len() - last.len_utf8()], factor),
        None => (text, 1),
    };
    digits.parse::<i64>().ok()?.checked_mul(factor)
}

fn bytes(text: &str) -> Result<i64, String> {
    let unit = |letter: char| match letter.to_ascii_lowercase() {
        'k' => Some(1 << 10),
        'm' => Some(1 << 20),
        'g' => Some(1 << 30),
        't' => Some(1 << 40),
        _ => None,
    };
    measured(text, unit).ok_or_else(|| "expected bytes such as 4096, 10M or 1G".to_owned())
}

fn seconds(text: &str) -> Result<i64, String> {
    let unit = |letter: char| match letter.to_ascii_lowercase() {
        's' => Some(1),
        'm' => Some(60),
        'h' => Some(3_600),
        'd' => Some(86_400),
        'w' => Some(7 * 86_400),
        'y' => Some(365 * 86_400),
        _ => None,
    };
    measured(text, unit).ok_or_else(|| "expected seconds, or a time such as 10m, 3h, 7d".to_owned())
}

fn position(text: &str) -> Result<Value, String> {
    let (ledger, entry) = match text {
        "earliest" => (EARLIEST, EARLIEST),
        "latest" => (LATEST, LATEST),
        _ => {
            let (ledger, entry) = text.split_once(':').ok_or("expected ledger:entry")?;
            (number(ledger)?, number(entry)?)
        }
    };
    Ok(json!({"ledgerId": ledger, "entryId": entry, "partitionIndex": -1}))
}

/// A time of ISO 8601 with an offset, in milliseconds since 1970.
fn time(text: &str) -> Result<i64, String> {
    read_time(text).ok_or_else(|| "expected a time such as 2021-06-28T16:53:08Z".to_owned())
}

fn read_time(text: &str) -> Option<i64> {
    let (date, clock) = text.split_once('T')?;
    let (clock, offset_minutes) = match clock.find(['Z', '+', '-']) {
        Some(at) if &clock[at..] == "Z" => (&clock[..at], 0),
        Some(at) => {
            let (hours, minutes) = clock[at + 1..].split_once(':')?;
            let minutes = hours.parse::<i64>().ok()? * 60 + minutes.parse::<i64>().ok()?;
            (&clock[..at], if clock[at..].starts_with('-') { -minutes } else { minutes })
        }
        None => return None,
    };
    let numbers = |text: &str, by: char| -> Option<Vec<i64>> {
        text.split(by).map(|part| part.parse().ok()).collect()
    };
    let (seconds, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let millis: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let &[year, month, day] = &numbers(date, '-')?[..] else { return None };
    let &[hour, minute, second] = &numbers(seconds, ':')?[..] else { return None };
    let fits =
        (1..=12).contains(&month) && (1..=31).contains(&day) && (1970..10_000).contains(&year);
    if !fits || 23 < hour || 59 < minute || 60 < second {
        return None;
    }
    let minutes = (days(year, month, day) * 24 + hour) * 60 + minute - offset_minutes;
    Some((minutes * 60 + second) * 1_000 + millis)
}

/// Days from 1970-01-01 to a day of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March here, so that the leap day is the last.
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: Kind, text: &str) -> Option<Value> {
        parse(kind, text).ok()
    }

    #[test]
    fn units_are_those_of_pulsar_admin() {
        for (kind, text, value) in [
            (Kind::Seconds, "90", 90_i64),
            (Kind::Seconds, "10m", 600),
            (Kind::Seconds, "-1", -1),
            (Kind::Seconds, "2W", 14 * 86_400),
            (Kind::Minutes, "7d", 7 * 24 * 60),
            (Kind::Minutes, "-1", -1),
            (Kind::Minutes, "59", 0),
            (Kind::Millis, "1s", 1_000),
            (Kind::Bytes, "4096", 4_096),
            (Kind::Bytes, "1g", 1 << 30),
            (Kind::Megabytes, "10M", 10),
            (Kind::Megabytes, "-1", -1),
            (Kind::Megabytes, "1048575", 0),
        ] {
            assert_eq!(read(kind, text), Some(value.into()), "{kind:?} {text}");
        }
        for (kind, text) in [
            (Kind::Seconds, "m"),
            (Kind::Seconds, ""),
            (Kind::Seconds, "1x"),
            (Kind::Seconds, "1é"),
            (Kind::Millis, "9223372036854775807"),
            (Kind::Bytes, "9999999T"),
            (Kind::Number, "1.5"),
        ] {
            assert_eq!(read(kind, text), None, "{kind:?} {text}");
        }
    }

    #[test]
    fn times_are_read_with_their_offset() {
        for (text, millis) in [
            ("1970-01-01T00:00:00Z", 0_i64),
            ("2021-06-28T16:53:08Z", 1_624_899_188_000),
            ("2021-06-28T16:53:08.123456789+08:00", 1_624_870_388_123),
            ("2024-02-29T23:59:59.9-00:30", 1_709_252_999_900),
        ] {
            assert_eq!(read(Kind::Time, text), Some(millis.into()), "{text}");
        }
        for text in ["", "2021-06-28", "2021-06-28T16:53:08", "2021-13-28T16:53:08Z", "é"] {
            assert_eq!(read(Kind::Time, text), None, "{text}");
        }
    }

    #[test]
    fn names_and_positions_are_checked() {
        assert_eq!(read(Kind::Topic, "t"), Some("persistent://public/default/t".into()));
        assert_eq!(read(Kind::Topic, "bad://a/b/c"), None);
        assert_eq!(read(Kind::Namespace, "a/b"), Some("a/b".into()));
        for text in ["a", "a/b/c", "/b", "a/"] {
            assert_eq!(read(Kind::Namespace, text), None, "{text}");
        }
        let position = json!({"ledgerId": 3, "entryId": 4, "partitionIndex": -1});
        assert_eq!(read(Kind::Position, "3:4"), Some(position));
        assert_eq!(read(Kind::Position, "3"), None);
    }
}
