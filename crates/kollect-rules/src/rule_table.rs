//! The list of all rules, for the reference page.

use crate::rule::RuleDoc;

/// Every rule, by kind.
pub fn rule_table() -> Vec<RuleDoc> {
    let lists: [&[&RuleDoc]; 10] = [
        crate::schema::RULES,
        crate::profile::RULES,
        crate::target::RULES,
        crate::inventory::RULES,
        crate::scope::RULES,
        crate::cluster_target::RULES,
        crate::cluster_inventory::RULES,
        crate::connection_test::RULES,
        crate::sink::RULES,
        crate::sink::WARNINGS,
    ];
    lists.into_iter().flatten().map(|rule| **rule).collect()
}
