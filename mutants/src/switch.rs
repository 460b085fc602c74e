//! Writes mutants into a source file, each behind a question at run time.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    ops::Range,
};

use anyhow::Context as _;
use syn::{spanned::Spanned as _, visit::Visit};

use crate::list::{Genre, Mutant};

/// The question, in the crate's root.
pub(crate) const QUESTION: &str = "
#[doc(hidden)]
pub(crate) fn __is_mutant(id: u32) -> bool {
    static ACTIVE: std::sync::LazyLock<u32> = std::sync::LazyLock::new(|| {
        std::env::var(\"GEMINGA_MUTANT\").ok().and_then(|id| id.parse().ok()).unwrap_or(0)
    });
    *ACTIVE == id
}
";

/// A file with its mutants, and which of them are in it.
#[derive(Debug, Default)]
pub(crate) struct Switched {
    pub(crate) text: String,
    pub(crate) ids: BTreeSet<usize>,
}

/// How a piece of the text changes. Pieces are nested or apart.
#[derive(Debug)]
enum Edit {
    /// One of these texts instead, when their mutant is on.
    Instead(Vec<(usize, String)>),
    /// This text goes before what is there.
    Before(String),
    /// It goes away.
    Delete,
}

/// Where the text of a mutant begins and ends in the output.
pub(crate) fn marks(id: usize) -> (String, String) {
    (format!("/*<{id}*/"), format!("/*{id}>*/"))
}

/// `kept_const`: functions that must stay `const`.
pub(crate) fn switch(
    text: &str,
    mutants: &[&Mutant],
    kept_const: &BTreeSet<String>,
) -> anyhow::Result<Switched> {
    let file = syn::parse_file(text).context("not Rust")?;
    let mut by_place: BTreeMap<(Genre, usize), Vec<&Mutant>> = BTreeMap::new();
    for mutant in mutants {
        let at = mutant.span.start.offset(text).context("a span outside of the text")?;
        by_place.entry((mutant.genre, at)).or_default().push(mutant);
    }
    let mut finder = Finder { text, by_place, kept_const, edits: Vec::new(), ids: BTreeSet::new() };
    finder.visit_file(&file);
    let Finder { mut edits, ids, .. } = finder;
    // Outer pieces first, and what goes before a piece before the piece.
    edits.sort_by_key(|(range, edit)| {
        let order = usize::from(!matches!(edit, Edit::Before(_)));
        (range.start, order, std::cmp::Reverse(range.end))
    });
    let text = render(text, 0..text.len(), &edits);
    Ok(Switched { text, ids })
}

/// The text of `range` with `edits`, all of them inside of it.
fn render(text: &str, range: Range<usize>, mut edits: &[(Range<usize>, Edit)]) -> String {
    let mut out = String::new();
    let mut at = range.start;
    while let Some(((piece, edit), rest)) = edits.split_first() {
        out.push_str(&text[at..piece.start]);
        at = piece.start;
        edits = rest;
        match edit {
            Edit::Before(before) => out.push_str(before),
            Edit::Delete => at = piece.end,
            Edit::Instead(alternatives) => {
                let inside = rest.iter().take_while(|(next, _)| next.start < piece.end).count();
                out.push('(');
                for (id, alternative) in alternatives {
                    let (begin, end) = marks(*id);
                    _ = write!(
                        out,
                        "if crate::__is_mutant({id}) {{ {begin}{alternative}{end} }} else "
                    );
                }
                let inner = render(text, piece.clone(), &rest[..inside]);
                _ = write!(out, "{{ {inner} }})");
                edits = &rest[inside..];
                at = piece.end;
            }
        }
    }
    out.push_str(&text[at..range.end]);
    out
}

struct Finder<'a> {
    text: &'a str,
    by_place: BTreeMap<(Genre, usize), Vec<&'a Mutant>>,
    kept_const: &'a BTreeSet<String>,
    edits: Vec<(Range<usize>, Edit)>,
    ids: BTreeSet<usize>,
}

impl Finder<'_> {
    /// The mutants of a place: their ids and replacements.
    fn take(&mut self, genre: Genre, at: usize) -> Vec<(usize, String)> {
        let found = self.by_place.remove(&(genre, at)).unwrap_or_default();
        self.ids.extend(found.iter().map(|mutant| mutant.id));
        found.iter().map(|mutant| (mutant.id, mutant.replacement.clone())).collect()
    }

    /// `whole` becomes what it is with `part` replaced.
    fn instead(&mut self, genre: Genre, whole: Range<usize>, part: Range<usize>) {
        let mut found = self.take(genre, part.start);
        if found.is_empty() {
            return;
        }
        for (_, replacement) in &mut found {
            let (before, after) = (whole.start..part.start, part.end..whole.end);
            *replacement = format!("{}{replacement}{}", &self.text[before], &self.text[after]);
        }
        self.edits.push((whole, Edit::Instead(found)));
    }

    fn function(&mut self, signature: &syn::Signature, block: &syn::Block) {
        if let Some(token) = &signature.constness
            && !self.kept_const.contains(&signature.ident.to_string())
        {
            self.edits.push((token.span().byte_range(), Edit::Delete));
        }
        let Some(first) = block.stmts.first() else { return };
        let at = first.span().byte_range().start;
        for (id, replacement) in self.take(Genre::FnValue, at) {
            let (begin, end) = marks(id);
            let question =
                format!("if crate::__is_mutant({id}) {{ {begin}return {replacement};{end} }} ");
            self.edits.push((at..at, Edit::Before(question)));
        }
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item_const(&mut self, _: &'ast syn::ItemConst) {}
    fn visit_impl_item_const(&mut self, _: &'ast syn::ImplItemConst) {}
    fn visit_item_static(&mut self, _: &'ast syn::ItemStatic) {}
    fn visit_type(&mut self, _: &'ast syn::Type) {}
    fn visit_expr_const(&mut self, _: &'ast syn::ExprConst) {}
    fn visit_pat(&mut self, _: &'ast syn::Pat) {}

    fn visit_expr_repeat(&mut self, repeat: &'ast syn::ExprRepeat) {
        self.visit_expr(&repeat.expr); // The length is a constant.
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, &item.block);
        syn::visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig, &item.block);
        syn::visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.sig, block);
        }
        syn::visit::visit_trait_item_fn(self, item);
    }

    fn visit_expr_binary(&mut self, binary: &'ast syn::ExprBinary) {
        let whole = binary.span().byte_range();
        if !has_let(binary) {
            self.instead(Genre::BinaryOperator, whole, binary.op.span().byte_range());
        }
        syn::visit::visit_expr_binary(self, binary);
    }

    fn visit_expr_unary(&mut self, unary: &'ast syn::ExprUnary) {
        let whole = unary.span().byte_range();
        self.instead(Genre::UnaryOperator, whole, unary.op.span().byte_range());
        syn::visit::visit_expr_unary(self, unary);
    }

    fn visit_expr_struct(&mut self, literal: &'ast syn::ExprStruct) {
        let whole = literal.span().byte_range();
        for field in literal.fields.pairs() {
            let span = field.value().span().byte_range();
            let end = field.punct().map_or(span.end, |comma| comma.span().byte_range().end);
            self.instead(Genre::StructField, whole.clone(), span.start..end);
        }
        syn::visit::visit_expr_struct(self, literal);
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        if let Some((_, guard)) = &arm.guard {
            let guard = guard.span().byte_range();
            self.instead(Genre::MatchArmGuard, guard.clone(), guard);
        }
        syn::visit::visit_arm(self, arm);
    }
}

/// Part of a chain with `let`, which can't be put in parentheses.
fn has_let(binary: &syn::ExprBinary) -> bool {
    let is_let = |side: &syn::Expr| match side {
        syn::Expr::Let(_) => true,
        syn::Expr::Binary(binary) => has_let(binary),
        _ => false,
    };
    matches!(binary.op, syn::BinOp::And(_)) && (is_let(&binary.left) || is_let(&binary.right))
}
