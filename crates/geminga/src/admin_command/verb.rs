//! What a verb of `geminga admin` is: its name, its options, and the requests that it makes.
//!
//! A verb is data. The command line's grammar, its help and completions, and the requests are made from
//! it, so that one more is a few lines in the [table](super::table).

/// One kind of thing that is administered.
#[derive(Debug)]
pub(super) struct Noun {
    pub(super) name: &'static str,
    /// Older names of `pulsar-admin`'s, which help does not show.
    pub(super) aliases: &'static [&'static str],
    pub(super) about: &'static str,
    pub(super) verbs: Vec<Verb>,
}

/// What can be done with it.
#[derive(Clone, Debug)]
pub(super) struct Verb {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) method: &'static str,
    /// Requests to choose from: the first of which all variable parts are given is made. Each is one
    /// path, or several whose answers are put together.
    pub(super) paths: Vec<Vec<&'static str>>,
    pub(super) arguments: Vec<Argument>,
    /// What is read first, and then sent with the given fields in it.
    pub(super) base: Option<&'static str>,
    pub(super) shows: Shows,
    pub(super) steps: Steps,
    /// What is asked before it is done.
    pub(super) question: Option<&'static str>,
    /// Left out of help: `pulsar-admin` has a newer name for it.
    pub(super) is_hidden: bool,
}

/// How an answer is shown to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shows {
    /// By its form: a list, a table, or a line for each field.
    Form,
    /// One field of it.
    Field(&'static str),
    /// A stored message, whose metadata is in headers.
    Message,
    /// An explanation of a subscription.
    Explanation,
}

/// How many requests a verb takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Steps {
    /// Those of its path.
    Path,
    /// Asks again until what was started has ended, if `--wait-complete` is given.
    Wait,
    /// One for each partition.
    LookUpPartitions,
    /// One for each message.
    Peek,
}

/// An argument or an option.
#[derive(Clone, Debug)]
pub(super) struct Argument {
    /// Its name, without dashes.
    pub(super) name: &'static str,
    /// Other names; one of several letters may have one dash, as `pulsar-admin`'s have.
    pub(super) others: Vec<&'static str>,
    pub(super) about: &'static str,
    pub(super) kind: Kind,
    pub(super) place: Place,
    pub(super) is_positional: bool,
    pub(super) is_required: bool,
    pub(super) default: Option<&'static str>,
    /// Where the server says what counts if it is not given.
    pub(super) default_at: Option<&'static str>,
    /// Another that makes this one unnecessary.
    pub(super) unless: Option<&'static str>,
    /// Another that has to be given too.
    pub(super) with: Option<&'static str>,
}

/// What a value is, and how it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text.
    Text,
    /// A whole number.
    Number,
    /// A number.
    Decimal,
    /// true when it is there.
    Switch,
    /// true or false: `--enable` or `--disable`, or two other names.
    EitherOf(&'static str),
    /// Texts with commas between.
    List,
    /// Whole numbers with commas between.
    Numbers,
    /// `key=value` with commas between, or several times.
    Map,
    /// Bytes, also as 10M or 1G.
    Bytes,
    /// The same, sent in megabytes.
    Megabytes,
    /// Seconds, also as 10m or 7d.
    Seconds,
    /// The same, sent in minutes.
    Minutes,
    /// The same, sent in milliseconds.
    Millis,
    /// The same, sent as the time so long ago in milliseconds.
    Ago,
    /// A time as 2021-06-28T16:53:08Z, sent in milliseconds.
    Time,
    /// `ledger:entry`, `earliest` or `latest`.
    Position,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// `persistent` or `non_persistent`.
    Domain,
    /// `tenant/namespace`.
    Namespace,
    /// A topic, whose domain may be left out.
    Topic,
    /// A file of JSON.
    File,
}

/// Where a value goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Into the path if it is there, else nowhere.
    Path,
    /// A parameter of the path.
    Query(&'static str),
    /// A field of the body; dots lead to inner ones.
    Field(&'static str),
    /// It is the body, or its fields are some of the body's.
    Body,
}

fn verb(method: &'static str, name: &'static str, path: &'static str, about: &'static str) -> Verb {
    Verb {
        name,
        about,
        method,
        paths: vec![vec![path]],
        arguments: Vec::new(),
        base: None,
        shows: Shows::Form,
        steps: Steps::Path,
        question: None,
        is_hidden: false,
    }
}

/// A verb that reads.
pub(super) fn get(name: &'static str, path: &'static str, about: &'static str) -> Verb {
    verb("GET", name, path, about)
}

/// A verb that is a POST.
pub(super) fn post(name: &'static str, path: &'static str, about: &'static str) -> Verb {
    verb("POST", name, path, about)
}

/// A verb that is a PUT.
pub(super) fn put(name: &'static str, path: &'static str, about: &'static str) -> Verb {
    verb("PUT", name, path, about)
}

/// A verb that is a DELETE.
pub(super) fn delete(name: &'static str, path: &'static str, about: &'static str) -> Verb {
    verb("DELETE", name, path, about)
}

impl Verb {
    /// Takes one more argument or option.
    pub(super) fn with(mut self, argument: Argument) -> Self {
        self.arguments.push(argument);
        self
    }

    /// Makes other requests if the variable parts of the paths before are not all given.
    pub(super) fn or(mut self, paths: &[&'static str]) -> Self {
        self.paths.push(paths.to_vec());
        self
    }

    /// Makes one more request, whose answer is added.
    pub(super) fn and(mut self, path: &'static str) -> Self {
        self.paths.iter_mut().for_each(|paths| paths.push(path));
        self
    }

    /// Sends what is at `path`, with the given fields changed.
    pub(super) fn over(self, path: &'static str) -> Self {
        Self { base: Some(path), ..self }
    }

    /// Shows the answer in another way.
    pub(super) fn shows(self, shows: Shows) -> Self {
        Self { shows, ..self }
    }

    /// Takes other steps than one request.
    pub(super) fn steps(self, steps: Steps) -> Self {
        Self { steps, ..self }
    }

    /// Asks first.
    pub(super) fn asks(self, question: &'static str) -> Self {
        Self { question: Some(question), ..self }
    }

    /// Leaves it out of help.
    pub(super) fn hidden(self) -> Self {
        Self { is_hidden: true, ..self }
    }
}

/// An option. `names` has the long name first, with dashes; more may follow: `--admin-roles -r`.
pub(super) fn option(
    names: &'static str,
    kind: Kind,
    place: Place,
    about: &'static str,
) -> Argument {
    let mut names = names.split(' ');
    let name = names.next().unwrap_or_default().trim_start_matches('-');
    Argument {
        name,
        others: names.collect(),
        about,
        kind,
        place,
        is_positional: false,
        is_required: false,
        default: None,
        default_at: None,
        unless: None,
        with: None,
    }
}

/// An argument that stands for itself.
pub(super) fn argument(name: &'static str, kind: Kind, about: &'static str) -> Argument {
    let place = Place::Path;
    Argument {
        name,
        others: Vec::new(),
        about,
        kind,
        place,
        is_positional: true,
        is_required: true,
        default: None,
        default_at: None,
        unless: None,
        with: None,
    }
}

impl Argument {
    /// It has to be given.
    pub(super) fn required(self) -> Self {
        Self { is_required: true, ..self }
    }

    /// What the server has there counts if it is not given.
    pub(super) fn or_what_is_at(self, path: &'static str) -> Self {
        Self { default_at: Some(path), ..self }
    }

    /// It has to be given if another one is not.
    pub(super) fn required_unless(self, other: &'static str) -> Self {
        Self { unless: Some(other), ..self }
    }

    /// It needs another one.
    pub(super) fn along_with(self, other: &'static str) -> Self {
        Self { with: Some(other), ..self }
    }

    /// What counts if it is not given.
    pub(super) fn or(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }
}
