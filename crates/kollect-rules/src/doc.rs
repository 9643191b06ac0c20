//! What is written down about each rule: identifier, when it refuses, what it says.
//!
//! Separate so that a rule cannot be broken without being documented: findings are made from these records, and the
//! reference page is printed from them.

/// Who finds that an object breaks a rule. `kollect validate` finds all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layer {
    /// The schema that is installed with the CRD, also without the webhook.
    Crd,
    /// The schema in most cases, the webhook in the others.
    CrdAndWebhook,
    /// The admission webhook.
    Webhook,
    /// The operator, when it uses the object; its status says so.
    Operator,
    /// Nobody: the object is accepted and its author is told.
    Warning,
}

impl Layer {
    /// The words of the reference page.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Crd => "CRD",
            Self::CrdAndWebhook => "CRD, webhook",
            Self::Webhook => "webhook",
            Self::Operator => "operator",
            Self::Warning => "warning",
        }
    }
}

/// The documentation of one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RuleDoc {
    /// Identifier, e.g. `P4`.
    pub id: &'static str,
    /// The kind, or the kinds, it is about.
    pub kind: &'static str,
    /// Who finds it.
    pub layer: Layer,
    /// When an object is refused, or warned about.
    pub refused_when: &'static str,
    /// What its author is told; details follow it where there are any.
    pub message: &'static str,
}

/// Declares rules as statics named like their identifiers, and the list of them.
macro_rules! rules {
    ($kind:literal; $($id:ident, $layer:ident, $when:literal, $message:literal;)+) => {
        $(
            pub(crate) static $id: $crate::doc::RuleDoc = $crate::doc::RuleDoc {
                id: stringify!($id),
                kind: $kind,
                layer: $crate::doc::Layer::$layer,
                refused_when: $when,
                message: $message,
            };
        )+
        pub(crate) static RULES: &[&$crate::doc::RuleDoc] = &[$(&$id),+];
    };
}
pub(crate) use rules;

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
