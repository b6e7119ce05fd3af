//! Rows grouped by variant, each variant with a unique name.

use super::settings::{SETTINGS, Setting};
use crate::bench::row::{Condition, Mode, Rendering, Role, Row, Served};
use std::collections::BTreeSet;

/// The rows of a variant, with its name.
pub(super) struct VariantRows<'a> {
    /// Unique within the mode.
    pub(super) name: String,
    /// The name, with the mode if the report has several.
    pub(super) label: String,
    pub(super) rows: Vec<&'a Row>,
}

impl VariantRows<'_> {
    /// The decoding mode.
    pub(super) fn mode(&self) -> Mode {
        self.rows[0].key.variant.mode
    }

    /// Role in the comparison.
    pub(super) fn role(&self) -> Role {
        self.rows[0].role
    }

    /// The served model, if a server answered.
    pub(super) fn endpoint(&self) -> Option<&Served> {
        self.rows[0].key.variant.endpoint.as_ref()
    }

    /// True if edgecall rendered the prompts, not a server.
    pub(super) fn has_our_prompt(&self) -> bool {
        self.endpoint().is_none_or(|served| served.rendering == Rendering::Ours)
    }
}

/// Groups sorted rows by variant and gives each variant a unique label.
pub(super) fn variants(rows: &[Row]) -> Vec<VariantRows<'_>> {
    let mut variants: Vec<VariantRows<'_>> = Vec::new();
    for row in rows {
        match variants
            .last_mut()
            .filter(|variant| variant.rows[0].key.variant == row.key.variant && variant.role() == row.role)
        {
            Some(variant) => variant.rows.push(row),
            None => variants.push(VariantRows { name: String::new(), label: String::new(), rows: vec![row] }),
        }
    }
    // A setting is part of the name only if variants differ in it. Those of the noise floor do not count, since they
    // differ on purpose.
    let is_local =
        |variant: &&VariantRows<'_>| variant.endpoint().is_none() && variant.role() != Role::NoiseFloor;
    let local = || variants.iter().filter(is_local).map(|variant| variant.rows[0]);
    let differing: Vec<&Setting> =
        SETTINGS.iter().filter(|setting| local().map(setting).collect::<BTreeSet<_>>().len() > 1).collect();
    let several_modes = variants.iter().map(VariantRows::mode).collect::<BTreeSet<_>>().len() > 1;
    let mut taken = BTreeSet::new();
    let varied: Vec<Option<&Row>> =
        variants.iter().map(|variant| varied(variant, &variants).map(|variant| variant.rows[0])).collect();
    for (variant, varied) in variants.iter_mut().zip(varied) {
        let mut name = vec![variant.rows[0].model.clone()];
        match variant.endpoint() {
            None if variant.role() == Role::NoiseFloor => name = vec![noise_name(variant.rows[0], varied)],
            None => name.extend(differing.iter().map(|setting| setting(variant.rows[0]))),
            Some(served) => name.push(match served.rendering {
                Rendering::Ours => "over HTTP".into(),
                Rendering::Server => "over HTTP, the server's prompt".into(),
            }),
        }
        // Two files with the same name, or two servers with the same model.
        if taken.contains(&(variant.mode(), name.join(", "))) {
            name.push(match variant.endpoint() {
                None => variant.rows[0].key.variant.file_sha256.chars().take(8).collect(),
                Some(served) => served.server.clone(),
            });
        }
        variant.name = name.join(", ");
        variant.label = if several_modes {
            format!("{}, {}", variant.name, variant.mode())
        } else {
            variant.name.clone()
        };
        taken.insert((variant.mode(), variant.name.clone()));
    }
    variants
}

/// The variant that the others are compared with: the one named as the reference, else the largest file. A variant
/// whose prompts a server rendered cannot be the reference.
pub(super) fn reference<'a, 'r>(of_mode: &[&'a VariantRows<'r>]) -> Option<&'a VariantRows<'r>> {
    let with = |role| move |variant: &&&VariantRows<'_>| variant.role() == role && variant.has_our_prompt();
    // A served model is a reference only if the user named it; a file may have become one by default.
    let served = of_mode.iter().filter(with(Role::Reference)).find(|variant| variant.endpoint().is_some());
    let named = served.or_else(|| of_mode.iter().find(with(Role::Reference)));
    // Variants are sorted by file size within their role.
    named.or_else(|| of_mode.iter().find(with(Role::Candidate))).copied()
}

/// Name of a noise-floor variant: the model and the changed settings.
fn noise_name(variant: &Row, reference: Option<&Row>) -> String {
    let differing = Condition::ALL
        .into_iter()
        .filter(|condition| reference.is_some_and(|r| condition.differs(variant, r)));
    let parts = differing.map(|condition| condition.setting()(variant));
    std::iter::once(variant.model.clone()).chain(parts).collect::<Vec<_>>().join(", ")
}

/// Finds the reference that a noise-floor variant was derived from.
fn varied<'a, 'r>(variant: &VariantRows<'r>, variants: &'a [VariantRows<'r>]) -> Option<&'a VariantRows<'r>> {
    variants.iter().find(|other| other.role() == Role::Reference && other.mode() == variant.mode())
}
