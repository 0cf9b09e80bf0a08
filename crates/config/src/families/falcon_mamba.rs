//! Falcon Mamba: Mamba with norms of time step, B and C that have no weights.

use serde_json::{Value, json};

use super::field::Field::Own;
use super::mamba::{OF_CODE, OLD_NAMES, channels, mixer};
use super::{Family, mamba};
use crate::error::Checked;
use crate::fields::Fields;
use crate::layer::MixerConfig;
use crate::norm::{NormConfig, NormWeight};
use crate::outline::Outline;
use crate::recurrent::MambaConfig;
use crate::values::POSITIVE;

pub(super) const FAMILY: Family =
    Family { architecture: "FalconMambaForCausalLM", fields: &[Own(read, write), OF_CODE, OLD_NAMES], ..mamba::FAMILY };

fn read(fields: &mut Fields, outline: &mut Outline) -> Checked<()> {
    let eps = fields.get("mixer_rms_eps", POSITIVE, 1e-6)?;
    let norm = NormConfig { weight: NormWeight::None, ..NormConfig::rms(eps) };
    let inner = channels(fields, outline.hidden_size)?;
    let mamba = MambaConfig { inner_norm: Some(norm), ..mixer(fields, outline, inner)? };
    outline.recurrent(MixerConfig::Mamba(mamba), |_| true);
    Ok(())
}

fn write(outline: &Outline) -> Value {
    let mut file = mamba::write(outline);
    if let Some(MixerConfig::Mamba(mamba)) = outline.recurrent_mixer() {
        file["mixer_rms_eps"] = json!(mamba.inner_norm.map(|norm| norm.eps));
    }
    file
}
