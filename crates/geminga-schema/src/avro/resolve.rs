//! Whether what one schema wrote can be read with another: what Avro's decoder finds when it resolves
//! the two.
//!
//! First a plan is made, as the decoder makes it: which branch, which field. Then the plan is searched
//! for a step that can't be done. A branch of a union that was not chosen may be full of those.
//!
//! The decoder is laxer than Avro's specification: the name of a record does not matter, namespaces
//! matter only to choose a branch, and a symbol that the reader's enum lacks is found when it comes. It
//! is followed to the letter, since a broker that refuses what Pulsar's takes can't take its place.

use std::collections::{BTreeMap, BTreeSet};

use super::{Field, Form, Id, Name, Schema, defaults, union_shape};
use crate::{Steps, compatibility::too_deep, limits};

/// A writer's schema, seen through a reader's aliases, and the reader's.
#[derive(Clone, Copy)]
pub(super) struct Sides<'schemas> {
    pub(super) writer: &'schemas Schema,
    pub(super) reader: &'schemas Schema,
}

/// How a type of the writer becomes one of the reader.
#[derive(Clone, Debug)]
enum Plan {
    /// As it is, or as a wider one.
    Plain,
    /// Not at all.
    Never(String),
    /// As each of its elements does.
    Each(Box<Self>),
    /// As the chosen branch does.
    Branch(Box<Self>),
    /// As each of the writer's branches does.
    Branches(Vec<Self>),
    /// As two records do.
    Record(Id, Id),
}

/// How a record of the writer becomes one of the reader.
#[derive(Debug, Default)]
struct RecordPlan<'schemas> {
    /// It does not, and why.
    never: Option<String>,
    /// By the reader's names.
    fields: Vec<(&'schemas str, Plan)>,
}

struct Planner<'schemas, 'steps> {
    sides: Sides<'schemas>,
    records: BTreeMap<(Id, Id), RecordPlan<'schemas>>,
    steps: &'steps mut Steps,
}

/// Whether what `writer` wrote can be read by `reader`.
///
/// # Errors
///
/// Why not, naming the field.
pub(crate) fn can_read(writer: &Schema, reader: &Schema, steps: &mut Steps) -> Result<(), String> {
    if writer == reader {
        return Ok(()); // Whatever its aliases would make of it.
    }
    let mut planner = Planner { sides: Sides { writer, reader }, records: BTreeMap::new(), steps };
    let plan = planner.plan(writer.root, reader.root)?;
    let path = reader.form(reader.root).name().map(|name| name.local.clone()).into_iter().collect();
    Search { planner: &planner, path, seen: BTreeSet::new(), depth: 0 }.run(&plan)
}

impl Sides<'_> {
    /// The name of a type of the writer, as the reader calls it.
    pub(super) fn written_name(&self, w: Id) -> Option<&Name> {
        let name = self.writer.form(w).name()?;
        Some(self.reader.aliases.types.get(name).unwrap_or(name))
    }

    /// A field's name, as the reader calls it.
    fn written_field<'name>(&'name self, record: &Name, field: &'name str) -> &'name str {
        let of_record = self.reader.aliases.fields.get(record);
        of_record.and_then(|aliases| aliases.get(field)).map_or(field, String::as_str)
    }

    /// Whether a record of the writer has the fields of the reader's, in order.
    pub(super) fn has_fields(&self, w: Id, writer: &[Field], reader: &[Field]) -> bool {
        let record = self.written_name(w).cloned().unwrap_or_default();
        let called = writer.iter().map(|field| self.written_field(&record, &field.name));
        called.eq(reader.iter().map(|field| field.name.as_str()))
    }

    fn mismatch(&self, w: Id, r: Id) -> String {
        let (found, expected) = (self.writer.form(w), self.reader.form(r));
        format!("found {}, expecting {}", found.described(), expected.described())
    }
}

impl<'schemas> Planner<'schemas, '_> {
    fn plan(&mut self, w: Id, r: Id) -> Result<Plan, String> {
        self.steps.enter()?;
        let found = self.plan_inside(w, r);
        self.steps.leave();
        found
    }

    fn plan_inside(&mut self, w: Id, r: Id) -> Result<Plan, String> {
        let (writer, reader) = (self.sides.writer.form(w), self.sides.reader.form(r));
        let mismatch = |sides: &Sides<'_>| Plan::Never(sides.mismatch(w, r));
        Ok(match (writer, reader) {
            (Form::Union(branches), _) => self.plan_branches(w, branches, r)?,
            (Form::Record { .. }, Form::Record { .. }) => {
                self.plan_record(w, r)?;
                Plan::Record(w, r)
            }
            (Form::Array(w), Form::Array(r)) | (Form::Map(w), Form::Map(r)) => {
                Plan::Each(Box::new(self.plan(*w, *r)?))
            }
            (Form::Fixed { size: written, .. }, Form::Fixed { name, size }) => {
                let has_name = self.sides.written_name(w).map(|name| &name.local);
                let fits = has_name == Some(&name.local) && written == size;
                if fits { Plan::Plain } else { mismatch(&self.sides) }
            }
            (Form::Enum { .. }, Form::Enum { name, .. }) => {
                let has_name = self.sides.written_name(w).map(|name| &name.local);
                if has_name == Some(&name.local) { Plan::Plain } else { mismatch(&self.sides) }
            }
            (_, Form::Union(branches)) => match self.choose(w, branches)? {
                Some(chosen) => Plan::Branch(Box::new(self.plan(w, chosen)?)),
                None => {
                    let found = writer.described();
                    Plan::Never(format!("found {found}, which is no branch of the union"))
                }
            },
            _ if writer.is_like(reader) || is_wider(writer, reader) => Plan::Plain,
            _ => mismatch(&self.sides),
        })
    }

    fn plan_branches(&mut self, w: Id, branches: &[Id], r: Id) -> Result<Plan, String> {
        if matches!(self.sides.reader.form(r), Form::Union(_))
            && union_shape::same(&self.sides, (w, r), self.steps)?
        {
            return Ok(Plan::Plain);
        }
        let plans: Result<Vec<Plan>, String> =
            branches.iter().map(|&branch| self.plan(branch, r)).collect();
        Ok(Plan::Branches(plans?))
    }

    fn plan_record(&mut self, w: Id, r: Id) -> Result<(), String> {
        if self.records.contains_key(&(w, r)) {
            return Ok(());
        }
        self.records.insert((w, r), RecordPlan::default()); // Breaks the recursion.
        let Sides { writer, reader } = self.sides;
        let Form::Record { fields: written, .. } = writer.form(w) else { return Ok(()) };
        let Form::Record { fields: wanted, .. } = reader.form(r) else { return Ok(()) };
        let name = self.sides.written_name(w).cloned().unwrap_or_default();
        let mut by_name = BTreeMap::new();
        for field in written {
            self.steps.count()?;
            let called = self.sides.written_field(&name, &field.name).to_owned();
            if by_name.insert(called.clone(), field).is_some() {
                let both = format!("two fields that were written are called {called:?}");
                return self.never(w, r, both);
            }
        }
        for field in wanted {
            self.steps.count()?;
            if let Some(found) = by_name.get(&field.name) {
                let plan = self.plan(found.kind, field.kind)?;
                let record = self.records.entry((w, r)).or_default();
                record.fields.push((&field.name, plan));
            }
        }
        for field in wanted.iter().filter(|field| !by_name.contains_key(&field.name)) {
            let wrong = match &field.default {
                None => Some("it is not written and has no default".to_owned()),
                Some(default) => {
                    let wrong = defaults::wrong(self.sides.reader, field.kind, default, self.steps);
                    wrong.map(|wrong| format!("it is not written and its default is none: {wrong}"))
                }
            };
            if let Some(wrong) = wrong {
                return self.never(w, r, format!("field {:?}: {wrong}", field.name));
            }
        }
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "ends a function that may fail")]
    fn never(&mut self, w: Id, r: Id, why: String) -> Result<(), String> {
        self.records.entry((w, r)).or_default().never = Some(why);
        Ok(())
    }

    /// The branch of the reader's union that the decoder takes: one of the very type and name; a record
    /// that fits, best if it has the name without its namespace; one that is wider.
    fn choose(&mut self, w: Id, branches: &[Id]) -> Result<Option<Id>, String> {
        let writer = self.sides.writer.form(w);
        let name = self.sides.written_name(w).cloned();
        let mut fitting: Option<Id> = None;
        for &branch in branches {
            self.steps.count()?;
            let reader = self.sides.reader.form(branch);
            if !writer.is_like(reader) {
                continue;
            }
            let Some(name) = &name else { return Ok(Some(branch)) };
            if reader.name() == Some(name) {
                return Ok(Some(branch));
            }
            if matches!(writer, Form::Record { .. }) {
                self.plan_record(w, branch)?;
                let has_local = reader.name().is_some_and(|reader| reader.local == name.local);
                if self.fits_at_first_sight(w, branch)? && (fitting.is_none() || has_local) {
                    fitting = Some(branch);
                }
            }
        }
        let wider = |&&branch: &&Id| is_wider(writer, self.sides.reader.form(branch));
        Ok(fitting.or_else(|| branches.iter().find(wider).copied()))
    }

    /// Whether nothing is wrong with two records but what may be deeper inside them.
    fn fits_at_first_sight(&mut self, w: Id, r: Id) -> Result<bool, String> {
        let fields = self.records.get(&(w, r)).map_or(0, |record| record.fields.len());
        self.steps.count_all(fields)?;
        Ok(self.records.get(&(w, r)).is_none_or(|record| {
            let is_never = |(_, plan): &(&str, Plan)| match plan {
                Plan::Never(_) => true,
                Plan::Record(w, r) => {
                    self.records.get(&(*w, *r)).is_some_and(|inner| inner.never.is_some())
                }
                _ => false,
            };
            record.never.is_none() && !record.fields.iter().any(is_never)
        }))
    }
}

/// The search of a plan for a step that can't be done.
struct Search<'planner, 'schemas, 'steps> {
    planner: &'planner Planner<'schemas, 'steps>,
    /// Names of the fields on the way.
    path: Vec<String>,
    /// Pairs of records that are, or were, on the way.
    seen: BTreeSet<(Id, Id)>,
    /// A record may have been planned where it was less deep: the way is bounded here, too.
    depth: usize,
}

impl Search<'_, '_, '_> {
    fn run(&mut self, plan: &Plan) -> Result<(), String> {
        if limits::DEPTH_MAX < self.depth {
            return Err(too_deep());
        }
        self.depth += 1;
        let found = self.run_inside(plan);
        self.depth -= 1;
        found
    }

    fn run_inside(&mut self, plan: &Plan) -> Result<(), String> {
        match plan {
            Plan::Plain => Ok(()),
            Plan::Never(why) => Err(self.explain(why)),
            Plan::Each(plan) | Plan::Branch(plan) => self.run(plan),
            Plan::Branches(plans) => plans.iter().try_for_each(|plan| self.run(plan)),
            Plan::Record(w, r) => self.record((*w, *r)),
        }
    }

    fn record(&mut self, pair: (Id, Id)) -> Result<(), String> {
        if !self.seen.insert(pair) {
            return Ok(());
        }
        let Some(record) = self.planner.records.get(&pair) else { return Ok(()) };
        if let Some(why) = &record.never {
            return Err(self.explain(why));
        }
        for (name, plan) in &record.fields {
            self.path.push((*name).to_owned());
            self.run(plan)?;
            self.path.pop();
        }
        Ok(())
    }

    fn explain(&self, why: &str) -> String {
        if self.path.is_empty() {
            why.to_owned()
        } else {
            format!("at {}: {why}", self.path.join("."))
        }
    }
}

/// Whether a value of one is also a value of the other.
const fn is_wider(writer: &Form, reader: &Form) -> bool {
    matches!(
        (writer, reader),
        (Form::Int, Form::Long | Form::Float | Form::Double)
            | (Form::Long, Form::Float | Form::Double)
            | (Form::Float, Form::Double)
            | (Form::String, Form::Bytes)
            | (Form::Bytes, Form::String)
    )
}
