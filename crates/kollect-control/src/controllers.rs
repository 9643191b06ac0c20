//! One controller per kind, generated from the table of kinds, and the driver that runs them.
//!
//! A reconcile is `observe → decide → apply → report`; each step takes only what the previous one returned. A controller
//! reads the state of the others in `observe` and changes only its own.

use crate::context::Context;
use kollect_resources::kinds::{Kind, ObjectRef};

/// How objects of a kind are reconciled, and what is kept of them.
pub trait Controller: Default + Send {
    /// Everything that the decision depends on.
    type Observed;
    /// What to do.
    type Decision;
    /// What was done, and what the engines answered.
    type Applied;

    /// Reads the object and what it depends on.
    fn observe(context: &Context, all: &Controllers, object: &ObjectRef) -> Self::Observed;
    /// Decides. Pure.
    fn decide(object: &ObjectRef, observed: Self::Observed) -> Self::Decision;
    /// Changes engines, queue and the controller's own state.
    fn apply(&mut self, context: &Context, object: &ObjectRef, decision: Self::Decision) -> Self::Applied;
    /// Writes status, events and metrics.
    fn report(&mut self, context: &Context, object: &ObjectRef, applied: Self::Applied);
}

/// Names the controller of a kind.
pub trait Reconciled {
    /// The controller.
    type Controller: Controller;
}

fn run<C: Controller>(
    context: &Context,
    all: &mut Controllers,
    own: fn(&mut Controllers) -> &mut C,
    object: &ObjectRef,
) {
    let observed = C::observe(context, all, object);
    let decision = C::decide(object, observed);
    let own = own(all);
    let applied = own.apply(context, object, decision);
    own.report(context, object, applied);
}

macro_rules! define_controllers {
    ($($kind:ident $object:ident $field:ident $controller:literal $plural:literal $scope:ident $presence:ident;)+) => {
        /// The controller of each kind, with its state.
        #[derive(Default)]
        pub struct Controllers {
            $(
                #[doc = concat!("Of `", stringify!($object), "`.")]
                pub(crate) $field: <kollect_api::$object as Reconciled>::Controller,
            )+
        }

        impl Controllers {
            /// Brings one object up to date.
            pub(crate) fn reconcile(&mut self, context: &Context, object: &ObjectRef) {
                match object.kind {
                    $(Kind::$kind => run(context, self, |all| &mut all.$field, object),)+
                }
            }
        }
    };
}

kollect_resources::for_each_kind!(define_controllers);
