//! Any bytes as an object of API v4: decoded and validated, or refused; never a panic.
#![no_main]

use bcs_model::v4;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(object) = bcs_model::decode::decode::<v4::ReplicaController>(bytes) {
        let encoded = serde_json::to_vec(&object).expect("what was decoded can be encoded");
        let again: v4::ReplicaController =
            bcs_model::decode::decode(&encoded).expect("what was encoded can be decoded");
        assert_eq!(object, again);
    }
    drop(bcs_model::decode::decode::<v4::ConfigMap>(bytes));
    drop(bcs_model::decode::decode::<v4::Secret>(bytes));
});
