//! What part of an object a path can reach.

use super::{JsonPath, Step};
use crate::mask::{FieldMask, MaskStep};

/// A path whose unions would make more branches than this counts as reaching everything below the union.
const MAX_BRANCHES: usize = 64;

impl JsonPath {
    /// Adds everything that this path can read.
    pub(crate) fn reach(&self, mask: &mut FieldMask) {
        for place in follow(&self.steps, vec![Vec::new()], mask) {
            mask.insert(&place, true);
        }
    }

    /// The places that the path leads to, where it can match several of them and they are known.
    fn several(&self) -> Vec<Vec<MaskStep>> {
        let spreads = |step: &Step| match step {
            Step::Wildcard | Step::Union(_) | Step::Filter(_) => true,
            Step::Slice(slice) => !slice.single,
            _ => false,
        };
        let is_open = |step: &Step| matches!(step, Step::Recursive | Step::Literal(_));
        if self.steps.iter().any(is_open) || !self.steps.iter().any(spreads) {
            return Vec::new();
        }
        follow(&self.steps, vec![Vec::new()], &mut FieldMask::nothing())
    }
}

/// The places that a JSONPath leads to when it can match several of them. One match gives the value itself and several
/// a list of the values, so where such a place is a list, the result is a list or a list of lists.
pub fn places_of_several_matches(path: &str) -> Vec<Vec<MaskStep>> {
    JsonPath::parse(path.trim()).map(|path| path.several()).unwrap_or_default()
}

/// The places that `steps` lead to; what is read on the way is added to the mask.
fn follow(steps: &[Step], mut places: Vec<Vec<MaskStep>>, mask: &mut FieldMask) -> Vec<Vec<MaskStep>> {
    for step in steps {
        match step {
            Step::Field(name) => append(&mut places, &MaskStep::Field(name.clone())),
            Step::Wildcard | Step::Slice(_) => append(&mut places, &MaskStep::Any),
            Step::Filter(filter) => {
                append(&mut places, &MaskStep::Any);
                let right = filter.right.iter().map(|(_, steps)| steps);
                for operand in std::iter::once(&filter.left).chain(right) {
                    for place in follow(operand, places.clone(), mask) {
                        mask.insert(&place, true);
                    }
                }
            }
            Step::Union(branches) if places.len() * branches.len() <= MAX_BRANCHES => {
                places = branches.iter().flat_map(|branch| follow(branch, places.clone(), mask)).collect();
            }
            Step::Recursive | Step::Union(_) => return places,
            Step::Literal(_) => {
                // Whether it appears depends on what was matched so far.
                for place in &places {
                    mask.insert(place, true);
                }
                return Vec::new();
            }
        }
    }
    places
}

fn append(places: &mut [Vec<MaskStep>], step: &MaskStep) {
    for place in places {
        place.push(step.clone());
    }
}
