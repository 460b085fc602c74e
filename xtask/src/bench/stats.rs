//! Medians.

/// The middle one; the upper of two.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The median, and in brackets the smallest and the largest.
pub(super) fn spread(values: &[f64]) -> String {
    let smallest = values.iter().copied().fold(f64::INFINITY, f64::min);
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{} ({}–{})", shown(median(values.to_vec())), shown(smallest), shown(largest))
}

/// The median of some beside that of others.
pub(super) fn ratio(ours: &[f64], theirs: &[f64]) -> f64 {
    median(ours.to_vec()) / median(theirs.to_vec())
}

/// With as many digits as a reader has use for.
pub(super) fn shown(value: f64) -> String {
    match value.abs() {
        1_000.0.. => thousands(value),
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index != 0 && (digits.len() - index).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_numbers_for_people() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!(median(Vec::new()).is_nan());
        assert_eq!(spread(&[3.0, 1.0, 2.5]), "2.50 (1.00–3.00)");
        assert!((ratio(&[1.0, 3.0, 2.0], &[4.0]) - 0.5).abs() < f64::EPSILON);
        let numbers = [1_234_567.8, 999.6, 45.67, 1.234, 0.1234].map(shown);
        assert_eq!(numbers, ["1,234,568", "1000", "45.7", "1.23", "0.123"]);
    }
}
