//! The documentation of one rule: identifier, condition and message.
//!
//! Findings take identifier and message from these records, and `docs/reference/rules.md` is generated from them, so no
//! rule is undocumented.

/// The component that checks a rule. `kollect validate` checks all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layer {
    /// The API server, by the schema of the CRD; also without the webhook.
    Crd,
    /// The schema in most cases, the webhook in the others.
    CrdAndWebhook,
    /// The admission webhook.
    Webhook,
    /// The operator, when it uses the object; the status reports it.
    Operator,
    /// The admission webhook, as a warning: the object is accepted.
    Warning,
}

impl Layer {
    /// The text in the reference page.
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
    /// The kind, or the kinds, to which it applies.
    pub kind: &'static str,
    /// Component that checks it.
    pub layer: Layer,
    /// When an object is refused, or warned about.
    pub refused_when: &'static str,
    /// Message of the violation or warning; details may follow it.
    pub message: &'static str,
}

/// Declares rules as statics named like their identifiers, and the list of them.
macro_rules! rules {
    ($kind:literal; $($id:ident, $layer:ident, $when:literal, $message:literal;)+) => {
        $(
            pub(crate) static $id: $crate::rule::RuleDoc = $crate::rule::RuleDoc {
                id: stringify!($id),
                kind: $kind,
                layer: $crate::rule::Layer::$layer,
                refused_when: $when,
                message: $message,
            };
        )+
        pub(crate) static RULES: &[&$crate::rule::RuleDoc] = &[$(&$id),+];
    };
}
pub(crate) use rules;
