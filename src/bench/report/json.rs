//! The report for scripts.

use serde_json::{Map, Value, json};

use super::super::compare::CONFIDENCE;
use super::super::record::{Latencies, Record, longest, quantile};
use super::{QUANTILES, Report, throughput};

/// One target as one object; two as `targets` with `ratios` of the second to the first.
pub fn render(report: &Report) -> Value {
    let objects = report.targets.iter().map(|(url, record)| {
        let mut object = target(report.scenario, url, record);
        object.insert("seed".into(), report.seed.into());
        object.insert("interrupted".into(), report.interrupted.into());
        Value::from(object)
    });
    let mut objects: Vec<Value> = objects.collect();
    if objects.len() < 2 {
        return objects.pop().unwrap_or_default();
    }
    let ratios: Map<String, Value> = report
        .ratios
        .iter()
        .map(|ratio| {
            let bounds = json!({"ratio": ratio.ratio, "low": ratio.low, "high": ratio.high});
            (ratio.of.to_owned(), bounds)
        })
        .collect();
    json!({
        "scenario": report.scenario,
        "seed": report.seed,
        "interrupted": report.interrupted,
        "targets": objects,
        "confidence": CONFIDENCE,
        "ratios": ratios,
    })
}

fn target(scenario: &str, url: &str, record: &Record) -> Map<String, Value> {
    let (operations, bytes) = throughput(record);
    let errors = record.errors.iter();
    let errors: Map<String, Value> = errors
        .map(|(kind, errors)| (kind.to_string(), errors.count.into()))
        .collect();
    let examples = record.errors.iter();
    let examples: Map<String, Value> = examples
        .map(|(kind, errors)| (kind.to_string(), errors.example.as_str().into()))
        .collect();
    let by_operation: Map<String, Value> = record
        .by_operation
        .iter()
        .map(|(name, latencies)| ((*name).to_owned(), counted(latencies)))
        .collect();
    let stages: Map<String, Value> = record
        .stages
        .iter()
        .map(|(stage, latencies)| (stage.to_string(), counted(latencies)))
        .collect();
    let mut object = Map::new();
    object.insert("target".into(), url.into());
    object.insert("scenario".into(), scenario.into());
    object.insert("operations".into(), record.operations.into());
    object.insert("failed".into(), record.failed.into());
    object.insert("not_begun".into(), record.missed.into());
    object.insert("bytes".into(), record.bytes.into());
    object.insert("errors".into(), errors.into());
    object.insert("examples".into(), examples.into());
    object.insert("latency_ms".into(), percentiles(&record.latencies()).into());
    object.insert(
        "throughput".into(),
        json!({"ops_per_s": operations, "bytes_per_s": bytes}),
    );
    object.insert("seconds".into(), record.seconds().into());
    object.insert("by_operation".into(), by_operation.into());
    object.insert("stages".into(), stages.into());
    object
}

fn percentiles(latencies: &Latencies) -> Map<String, Value> {
    let mut all: Map<String, Value> = QUANTILES
        .iter()
        .map(|(name, share)| ((*name).to_owned(), quantile(latencies, *share).into()))
        .collect();
    all.insert("max".into(), longest(latencies).into());
    all
}

fn counted(latencies: &Latencies) -> Value {
    json!({"count": latencies.len(), "latency_ms": percentiles(latencies)})
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::super::tests::report;
    use super::*;

    #[test]
    fn one_target_has_the_keys_that_scripts_rely_on() {
        let value = render(&report(1));
        assert_eq!(value["target"], "https://a.example");
        assert_eq!(value["scenario"], "pull");
        assert_eq!(value["operations"], 2);
        assert_eq!(value["bytes"], 2048);
        assert_eq!(value["errors"], json!({"digest mismatch": 1}));
        for key in ["p50", "p90", "p99", "p999", "max"] {
            assert!(value["latency_ms"][key].as_f64().unwrap() > 0.0, "{key}");
        }
        assert_eq!(
            value["throughput"],
            json!({"ops_per_s": 1.0, "bytes_per_s": 1024.0})
        );
        assert_eq!(value["seconds"], 2.0);
        assert_eq!(value["stages"]["token"]["count"], 2);
    }

    #[test]
    fn two_targets_come_with_their_ratios() {
        let value = render(&report(2));
        assert_eq!(value["targets"].as_array().unwrap().len(), 2);
        assert_eq!(value["ratios"]["ops_per_s"]["ratio"], 1.5);
    }
}
