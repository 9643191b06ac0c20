//! The field mask of a path.

use super::{JsonPath, PathStep};
use crate::mask::{FieldMask, MaskStep};

/// With more branches of unions, everything below the union is reachable.
const MAX_BRANCHES: usize = 64;

impl JsonPath {
    /// Adds everything that this path can read.
    pub(crate) fn reach(&self, mask: &mut FieldMask) {
        for place in follow(&self.steps, vec![Vec::new()], mask) {
            mask.insert(&place, true);
        }
    }

    /// The places of a path that can match several, as far as they are known.
    fn several(&self) -> Vec<Vec<MaskStep>> {
        let spreads = |step: &PathStep| match step {
            PathStep::Wildcard | PathStep::Union(_) | PathStep::Filter(_) => true,
            PathStep::Slice(slice) => !slice.single,
            _ => false,
        };
        let is_open = |step: &PathStep| matches!(step, PathStep::Recursive | PathStep::Literal(_));
        if self.steps.iter().any(is_open) || !self.steps.iter().any(spreads) {
            return Vec::new();
        }
        follow(&self.steps, vec![Vec::new()], &mut FieldMask::nothing())
    }
}

/// The places of a JSONPath that can match several. One match gives the value itself and several a list of the values,
/// so where such a place is a list, the result is a list or a list of lists.
pub fn places_of_several_matches(path: &str) -> Vec<Vec<MaskStep>> {
    JsonPath::parse(path.trim()).map(|path| path.several()).unwrap_or_default()
}

/// The places that `steps` select; values that are read on the way are added to the mask.
fn follow(steps: &[PathStep], mut places: Vec<Vec<MaskStep>>, mask: &mut FieldMask) -> Vec<Vec<MaskStep>> {
    for step in steps {
        match step {
            PathStep::Field(name) => append(&mut places, &MaskStep::Field(name.clone())),
            PathStep::Wildcard | PathStep::Slice(_) => append(&mut places, &MaskStep::Any),
            PathStep::Filter(filter) => {
                append(&mut places, &MaskStep::Any);
                let right = filter.right.iter().map(|(_, steps)| steps);
                for operand in std::iter::once(&filter.left).chain(right) {
                    for place in follow(operand, places.clone(), mask) {
                        mask.insert(&place, true);
                    }
                }
            }
            PathStep::Union(branches) if places.len() * branches.len() <= MAX_BRANCHES => {
                places = branches.iter().flat_map(|branch| follow(branch, places.clone(), mask)).collect();
            }
            PathStep::Recursive | PathStep::Union(_) => return places,
            PathStep::Literal(_) => {
                // A literal appears per match of the previous steps.
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
