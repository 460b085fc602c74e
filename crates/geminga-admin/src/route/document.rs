//! `docs/admin-api.md` says what is served, and the table of routes is in it.

use std::collections::BTreeMap;

use super::*;

const DOCUMENT: &str = include_str!("../../../../docs/admin-api.md");

/// Routes that are there to say why something is not done.
const REFUSED: &[Route] = &[
    Route::ShutDown,
    Route::AllocatorStats,
    Route::BookieOperations,
    Route::ResourceAvailability,
    Route::Offload,
    Route::ShadowTopics,
    Route::SetShadowTopics,
    Route::RemoveShadowTopics,
    Route::GetDisabled,
    Route::PostDisabled,
    Route::PutDisabled,
    Route::DeleteDisabled,
];

/// Method, path and state of each row.
fn rows() -> Vec<(&'static str, &'static str, &'static str)> {
    let rows = DOCUMENT.lines().filter_map(|line| {
        let mut cells = line.split('|').skip(1).map(str::trim);
        let (method, path, state) = (cells.next()?, cells.next()?, cells.next()?);
        let path = path.strip_prefix('`')?.strip_suffix('`')?;
        Some((method, path, state))
    });
    rows.collect()
}

/// A path that a client could ask for.
fn example(path: &str) -> String {
    let parts = path.split('/').map(|part| match part {
        "{domain}" => "persistent",
        "{bundle}" => "0x00000000_0x40000000",
        "{version}" => "v3",
        "{service that is off}" => "functions",
        part if part.starts_with('{') => "x",
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

#[test]
fn each_row_says_what_is_served() {
    let mut wrong = Vec::new();
    for (method, path, says) in rows() {
        let state = match Route::find(method, &example(path)) {
            Ok((route, _)) if REFUSED.contains(&route) => "refused",
            Ok(_) => "yes",
            Err(_) => "not served",
        };
        if says != state {
            wrong.push(format!("{method}\t{path}\t{state}"));
        }
    }
    assert!(300 < rows().len(), "the tables were not found");
    assert!(wrong.is_empty(), "these rows should say:\n{}", wrong.join("\n"));
}

#[test]
fn each_route_is_in_it() {
    let mut named: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (method, path, _) in rows() {
        if let Ok((route, parts)) = Route::find(method, &example(path)) {
            let policy = parts.last().map_or_else(String::new, |part| (*part).to_owned());
            named.entry(format!("{route:?}")).or_default().push(policy);
        }
    }
    let mut missing = Vec::new();
    for &route in Route::ALL {
        let found = named.get(&format!("{route:?}")).map_or(&[][..], Vec::as_slice);
        let level = match route.path().rsplit('/').next() {
            Some("{policy of a namespace}") => Some(Level::Namespace),
            Some("{policy of a topic}") => Some(Level::Topic),
            _ => None,
        };
        match level {
            None if found.is_empty() => {
                missing.push(format!("{}\t{}", route.method(), route.path()));
            }
            None => {}
            Some(level) => {
                let names = policies::names(level, route.method());
                for name in names.into_iter().filter(|name| !found.iter().any(|it| it == name)) {
                    let (parent, _) = route.path().rsplit_once('/').unwrap();
                    missing.push(format!("{}\t{parent}/{name}", route.method()));
                }
            }
        }
    }
    assert!(missing.is_empty(), "these are not in docs/admin-api.md:\n{}", missing.join("\n"));
}
