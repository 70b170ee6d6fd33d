//! stub
/// stub
#[derive(Clone, Debug, Default)]
pub struct Normalised {
    slots: Vec<u32>,
}
impl Normalised {
    pub(crate) fn starts(&self) -> Vec<u32> {
        self.slots.clone()
    }
}
/// stub
pub fn normalise(_t: &[u8]) {}
