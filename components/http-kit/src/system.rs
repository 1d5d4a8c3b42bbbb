//! Facts about the machine: load, processors, memory.

use crate::json::Object;

/// A reading of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SystemStats {
    /// Load averages of 1, 5 and 15 minutes.
    pub load: [f64; 3],
    /// Processors online.
    pub cpus: i64,
    /// Bytes of memory.
    pub mem_total: i64,
    /// Bytes of memory that nothing uses.
    pub mem_free: i64,
}

impl SystemStats {
    /// Reads the machine; what cannot be read is 0.
    pub fn read() -> SystemStats {
        let cpus = std::thread::available_parallelism().map_or(0, |n| n.get());
        let cpus = i64::try_from(cpus).unwrap_or(i64::MAX);
        let Ok(info) = nix::sys::sysinfo::sysinfo() else {
            return SystemStats { cpus, ..SystemStats::default() };
        };
        let (one, five, fifteen) = info.load_average();
        SystemStats {
            load: [one, five, fifteen],
            cpus,
            mem_total: i64::try_from(info.ram_total()).unwrap_or(i64::MAX),
            mem_free: i64::try_from(info.ram_unused()).unwrap_or(i64::MAX),
        }
    }

    /// `/system/stats.json`.
    pub fn to_json(&self) -> Vec<u8> {
        let [one, five, fifteen] = self.load;
        let mut out = Vec::with_capacity(192);
        let mut object = Object::new(&mut out);
        object.double("avg_load_15min", fifteen);
        object.double("avg_load_1min", one);
        object.double("avg_load_5min", five);
        object.integer("cpus_total", self.cpus);
        object.integer("mem_free_bytes", self.mem_free);
        object.integer("mem_total_bytes", self.mem_total);
        object.end();
        out
    }

    /// The same facts under their metric names.
    pub fn metrics(&self) -> [(&'static str, f64); 6] {
        let [one, five, fifteen] = self.load;
        [
            ("system/cpus_total", self.cpus as f64),
            ("system/load_15min", fifteen),
            ("system/load_1min", one),
            ("system/load_5min", five),
            ("system/mem_free_bytes", self.mem_free as f64),
            ("system/mem_total_bytes", self.mem_total as f64),
        ]
    }
}
