//! The command line's grammar, made from the table of verbs.

use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command};
use serde_json::{Map, Value};

use super::{
    call::Values,
    value,
    verb::{Argument, Kind, Noun, Verb},
};

/// The command of a noun.
pub(super) fn noun(noun: &Noun) -> Command {
    let command = Command::new(noun.name)
        .about(sentence(noun.about))
        .visible_aliases(noun.aliases.iter().copied())
        .subcommand_required(true)
        .arg_required_else_help(true);
    noun.verbs.iter().fold(command, |command, one| command.subcommand(verb(one)))
}

fn verb(verb: &Verb) -> Command {
    let mut command = Command::new(verb.name).about(sentence(verb.about)).hide(verb.is_hidden);
    for argument in &verb.arguments {
        // The name of one's own for what otherwise shows the program's version.
        command = command.disable_version_flag(true).arg(arg(argument));
        if let Kind::EitherOf(other) = argument.kind {
            let mut names = other.split(' ');
            let off = named(Arg::new(OFF), names.next().unwrap_or_default(), names);
            let off = off.action(ArgAction::SetTrue).help("The opposite.");
            let group = ArgGroup::new("either").args([argument.name, OFF]).required(true);
            command = command.arg(off).group(group);
        }
    }
    command
}

/// As clap writes the program's other help: without the last full stop.
fn sentence(text: &'static str) -> &'static str {
    text.strip_suffix('.').unwrap_or(text)
}

/// The id of the option that is the opposite of another.
const OFF: &str = "off";

fn named(arg: Arg, long: &'static str, others: impl Iterator<Item = &'static str>) -> Arg {
    let mut arg = arg.long(long.trim_start_matches('-'));
    for other in others {
        let name = other.trim_start_matches('-');
        let mut letters = name.chars();
        arg = match (letters.next(), letters.next()) {
            (Some(letter), None) if arg.get_short().is_none() => arg.short(letter),
            (Some(letter), None) => arg.short_alias(letter),
            // With one dash it is understood as well: see `with_long_names`.
            _ => arg.alias(name),
        };
    }
    arg
}

fn arg(argument: &Argument) -> Arg {
    let mut arg = Arg::new(argument.name).help(sentence(argument.about));
    if argument.is_positional {
        arg = arg.required(argument.is_required);
    } else {
        arg = named(arg, argument.name, argument.others.iter().copied());
    }
    let kind = argument.kind;
    arg = match kind {
        Kind::Switch | Kind::EitherOf(_) => return arg.action(ArgAction::SetTrue),
        Kind::OneOf(values) => arg.value_parser(clap::builder::PossibleValuesParser::new(values)),
        Kind::List | Kind::Numbers | Kind::Map => {
            arg.value_delimiter(',').action(ArgAction::Append)
        }
        _ => arg,
    };
    if !matches!(kind, Kind::OneOf(_)) {
        arg = arg.value_parser(move |text: &str| value::parse(kind, text).map(Given));
    } else {
        arg = arg.ignore_case(true);
    }
    if !argument.is_positional {
        arg = arg.required(argument.is_required).value_name(shown(kind));
    }
    if let Some(other) = argument.unless {
        arg = arg.required_unless_present(other).conflicts_with(other);
    }
    if let Some(other) = argument.with {
        arg = arg.requires(other);
    }
    match argument.default {
        Some("") | None => arg,
        Some(default) => arg.default_value(default),
    }
    .allow_hyphen_values(takes_numbers(kind))
}

/// A value that was read.
#[derive(Clone, Debug)]
struct Given(Value);

/// Whether a value may begin with a minus.
const fn takes_numbers(kind: Kind) -> bool {
    use Kind::{Bytes, Megabytes, Millis, Minutes, Number, Seconds};
    matches!(kind, Bytes | Megabytes | Millis | Minutes | Number | Seconds)
}

const fn shown(kind: Kind) -> &'static str {
    match kind {
        Kind::Number | Kind::Decimal => "NUMBER",
        Kind::Numbers => "NUMBERS",
        Kind::List => "NAMES",
        Kind::Map => "KEY=VALUE",
        Kind::Bytes | Kind::Megabytes => "BYTES",
        Kind::Seconds | Kind::Minutes | Kind::Millis | Kind::Ago | Kind::Time => "TIME",
        Kind::Position => "LEDGER:ENTRY",
        Kind::File => "FILE",
        Kind::Namespace => "TENANT/NAMESPACE",
        _ => "NAME",
    }
}

/// What was given for a verb.
pub(super) fn values(verb: &Verb, matches: &ArgMatches) -> Values {
    let mut values = Values::new();
    for argument in &verb.arguments {
        if let Some(value) = value_of(argument, matches) {
            values.insert(argument.name, value);
        }
    }
    values
}

fn value_of(argument: &Argument, matches: &ArgMatches) -> Option<Value> {
    let name = argument.name;
    match argument.kind {
        // The server takes what is not there for true.
        Kind::Switch if argument.default == Some("false") => Some(matches.get_flag(name).into()),
        Kind::Switch => matches.get_flag(name).then_some(true.into()),
        Kind::EitherOf(_) => Some(matches.get_flag(name).into()),
        Kind::OneOf(values) => {
            let text = matches.get_one::<String>(name)?;
            let known = values.iter().find(|value| value.eq_ignore_ascii_case(text));
            Some((*known.unwrap_or(&text.as_str())).into())
        }
        Kind::List | Kind::Numbers => match matches.get_many::<Given>(name) {
            Some(given) => Some(given.map(|Given(value)| value.clone()).collect()),
            None => argument.default.map(|_| Value::Array(Vec::new())),
        },
        Kind::Map => {
            let given = matches.get_many::<Given>(name)?;
            let fields = given.filter_map(|Given(value)| value.as_object().cloned()).flatten();
            Some(Value::Object(fields.collect::<Map<_, _>>()))
        }
        _ => matches.get_one::<Given>(name).map(|Given(value)| value.clone()),
    }
}

/// Replaces options of several letters and one dash, such as `-td`, by their long names: clap would
/// take them for several options.
pub(super) fn with_long_names(
    nouns: &[Noun],
    mut words: Vec<std::ffi::OsString>,
) -> Vec<std::ffi::OsString> {
    let found = (0..words.len()).find_map(|at| {
        let (noun, verb) = (words[at].to_str()?, words.get(at + 1)?.to_str()?);
        let noun =
            nouns.iter().find(|known| known.name == noun || known.aliases.contains(&noun))?;
        Some((at + 2, noun.verbs.iter().find(|known| known.name == verb)?))
    });
    let Some((begin, verb)) = found else { return words };
    for word in &mut words[begin..] {
        let short = |name: &&&str| 2 < name.len() && !name.starts_with("--") && *word == ***name;
        let argument =
            verb.arguments.iter().find(|argument| argument.others.iter().any(|name| short(&name)));
        if let Some(argument) = argument {
            *word = format!("--{}", argument.name).into();
        }
    }
    words
}
