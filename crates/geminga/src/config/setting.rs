//! Types that a setting can have: how each is written and what to say when it is not.

/// A value of the configuration.
pub(super) trait Setting: Sized {
    /// What to expect, for messages and the reference page.
    const KIND: &'static str;
    fn parse(text: &str) -> Option<Self>;
    /// Writes it as [`Setting::parse`] reads it.
    fn show(&self) -> String;
}

impl Setting for bool {
    const KIND: &'static str = "true or false";
    fn parse(text: &str) -> Option<Self> {
        match text {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for u16 {
    const KIND: &'static str = "a port (0 to 65535)";
    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for u64 {
    const KIND: &'static str = "a whole number, not negative";
    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for i64 {
    const KIND: &'static str = "a whole number";
    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for f64 {
    const KIND: &'static str = "a number from 0 to 1";
    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().filter(|number| (0.0..=1.0).contains(number))
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for String {
    const KIND: &'static str = "text";
    fn parse(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
    fn show(&self) -> String {
        self.to_string()
    }
}
