//! The instruction sets of this machine. The only file that asks the processor what it has.

use std::{env, ffi::OsStr, sync::OnceLock};

use pulp::{Scalar256b, Simd};
#[cfg(target_arch = "x86_64")]
use {
    pulp::x86::{V3, V4},
    std::arch::x86_64::{__cpuid, __m512, __m512bh, __m512i, _mm512_dpbf16_ps, _mm512_dpbusd_epi32},
};

use crate::simd_ext::SimdExt;

/// A computation written once for all instruction sets.
pub trait Kernel {
    /// Everything that this calls must be `#[inline(always)]`: only what is inlined into the caller is compiled for the
    /// caller's instructions.
    fn run<S: SimdExt>(self, simd: S);
}

/// Calls `run`, compiled for the fastest instructions of this machine: loops that compilers make vectors of. It must be
/// `#[inline(always)]`, and what it calls too.
#[inline]
pub fn vectorized<R>(run: impl FnMut() -> R) -> R {
    struct Run<F>(F);

    // For a closure that can be called again, calling it once is another function, which is compiled for no instructions.
    impl<R, F: FnMut() -> R> pulp::NullaryFnOnce for Run<F> {
        type Output = R;

        #[inline(always)]
        fn call(mut self) -> R {
            (self.0)()
        }
    }

    pulp::Arch::new().dispatch(Run(run))
}

/// An instruction set. A value is the proof that this machine has it: kernels take one and ask no more.
#[derive(Clone, Copy, Debug)]
pub enum Isa {
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    #[cfg(target_arch = "x86_64")]
    Avx2(V3),
    #[cfg(target_arch = "aarch64")]
    Neon(pulp::aarch64::Neon),
    Portable,
}

/// AVX-512 (F, BW, CD, DQ, VL), and which of its extensions this machine has.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug)]
pub struct Avx512 {
    pub simd: V4,
    pub vnni: Option<Vnni>,
    pub bf16: Option<Bf16>,
}

/// Names an instruction set, in small letters, that is used in place of the fastest: to compare them.
const CHOICE: &str = "GLASS_ISA";

impl Isa {
    /// The fastest, or the one that `GLASS_ISA` names: `avx512` (without VNNI and BF16), `avx2` or `portable`.
    pub fn best() -> Self {
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(|| {
            let Some(choice) = env::var_os(CHOICE).filter(|choice| !choice.is_empty()) else {
                return Self::fastest();
            };
            Self::named(&choice).unwrap_or_else(|| {
                let choice = choice.display();
                eprintln!(
                    "glass: warning: {CHOICE}={choice} is no instruction set of this machine: the fastest is used"
                );
                Self::fastest()
            })
        })
    }

    fn named(name: &OsStr) -> Option<Self> {
        match name.to_str()? {
            #[cfg(target_arch = "x86_64")]
            "avx512" => V4::try_new().map(|simd| Isa::Avx512(Avx512 { simd, vnni: None, bf16: None })),
            #[cfg(target_arch = "x86_64")]
            "avx2" => V3::try_new().map(Isa::Avx2),
            "portable" => Some(Isa::Portable),
            _ => None,
        }
    }

    fn fastest() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(simd) = V4::try_new() {
                let (vnni, bf16) = (Vnni::try_new(simd), Bf16::try_new(simd));
                return Isa::Avx512(Avx512 { simd, vnni, bf16 });
            }
            if let Some(simd) = V3::try_new() {
                return Isa::Avx2(simd);
            }
        }
        #[cfg(target_arch = "aarch64")]
        if let Some(simd) = pulp::aarch64::Neon::try_new() {
            return Isa::Neon(simd);
        }
        Isa::Portable
    }

    /// All of this machine, the fastest first.
    #[cfg(test)]
    pub fn all() -> Vec<Self> {
        let mut all = vec![Isa::fastest()];
        #[cfg(target_arch = "x86_64")]
        if let Isa::Avx512(avx512) = all[0] {
            all.push(Isa::Avx512(Avx512 { vnni: None, bf16: None, ..avx512 }));
            all.extend(V3::try_new().map(Isa::Avx2));
        }
        if !matches!(all[0], Isa::Portable) {
            all.push(Isa::Portable);
        }
        all
    }

    /// float32 lanes of a vector.
    pub fn lanes(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(_) => V4::F32_LANES,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(_) => V3::F32_LANES,
            #[cfg(target_arch = "aarch64")]
            Isa::Neon(_) => pulp::aarch64::Neon::F32_LANES,
            Isa::Portable => Scalar256b::F32_LANES,
        }
    }

    /// Whether there are 32 vector registers, and not 16.
    pub fn has_many_registers(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(_) => V4::REGISTER_COUNT >= 32,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(_) => V3::REGISTER_COUNT >= 32,
            #[cfg(target_arch = "aarch64")]
            Isa::Neon(_) => pulp::aarch64::Neon::REGISTER_COUNT >= 32,
            Isa::Portable => Scalar256b::REGISTER_COUNT >= 32,
        }
    }

    /// Runs `kernel` compiled for these instructions.
    #[inline]
    pub fn run(self, kernel: impl Kernel) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(Avx512 { simd, .. }) => simd.vectorize(
                #[inline(always)]
                || kernel.run(simd),
            ),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(simd) => simd.vectorize(
                #[inline(always)]
                || kernel.run(simd),
            ),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon(simd) => simd.vectorize(
                #[inline(always)]
                || kernel.run(simd),
            ),
            Isa::Portable => kernel.run(Scalar256b),
        }
    }

    /// Integer dot products of bytes in AVX-512.
    #[cfg(target_arch = "x86_64")]
    pub fn vnni(self) -> Option<Vnni> {
        match self {
            Isa::Avx512(avx512) => avx512.vnni,
            _ => None,
        }
    }

    /// Dot products of bfloat16 in AVX-512.
    #[cfg(target_arch = "x86_64")]
    pub fn bf16(self) -> Option<Bf16> {
        match self {
            Isa::Avx512(avx512) => avx512.bf16,
            _ => None,
        }
    }
}

/// Whether the processor names this vendor. To ask takes microseconds on a virtual machine.
#[cfg(target_arch = "x86_64")]
fn is_made_by(vendor: &[u8; 12]) -> bool {
    let leaf = __cpuid(0);
    let name: [u8; 12] = bytemuck::cast([leaf.ebx, leaf.edx, leaf.ecx]);
    name == *vendor
}

/// How many bytes ahead of their use weights are best asked for; `None` where processors follow a stream of memory by
/// themselves.
///
/// Measured with pages of 4 kB. Zen 5 reads 1.3 times as fast so where memory is far, and half as fast again where the last-level
/// cache holds a part; Sapphire Rapids reads float32 1.12 and bfloat16 1.3 times as fast; 2 kB ahead are less. Zen 4 reads at 0.6
/// to 0.8 of its speed then.
pub fn ahead() -> Option<usize> {
    #[cfg(target_arch = "x86_64")]
    {
        const AHEAD: usize = 8192;
        const ZEN_5: u32 = 0x1a;
        static IS_ASKED_FOR: OnceLock<bool> = OnceLock::new();
        let is_asked_for = *IS_ASKED_FOR.get_or_init(|| {
            let signature = __cpuid(1).eax;
            let family = (signature >> 8 & 0xf) + (signature >> 20 & 0xff);
            is_made_by(b"GenuineIntel") || is_made_by(b"AuthenticAMD") && family >= ZEN_5
        });
        if is_asked_for {
            return Some(AHEAD);
        }
    }
    None
}

/// AVX-512 with VNNI.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug)]
pub struct Vnni(V4);

#[cfg(target_arch = "x86_64")]
impl Vnni {
    fn try_new(simd: V4) -> Option<Self> {
        std::arch::is_x86_feature_detected!("avx512vnni").then_some(Self(simd))
    }

    #[inline(always)]
    pub fn simd(self) -> V4 {
        self.0
    }

    /// Runs `f` compiled for these instructions, if all it calls is `#[inline(always)]`.
    #[inline(always)]
    pub fn vectorize<F: FnOnce()>(self, f: F) {
        #[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512vnni,bmi1,bmi2,lzcnt,popcnt,fxsr")]
        fn run<F: FnOnce()>(f: F) {
            f();
        }
        // SAFETY: `self` is proof of these instructions.
        unsafe { run(f) }
    }

    /// Adds to each 32-bit lane of `sum` its four products of an unsigned and a signed byte. Exact.
    #[inline(always)]
    pub fn dot(self, sum: __m512i, unsigned: __m512i, signed: __m512i) -> __m512i {
        // SAFETY: `self` is proof of these instructions.
        unsafe { _mm512_dpbusd_epi32(sum, unsigned, signed) }
    }
}

/// AVX-512 with BF16.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug)]
pub struct Bf16(V4);

#[cfg(target_arch = "x86_64")]
impl Bf16 {
    fn try_new(simd: V4) -> Option<Self> {
        std::arch::is_x86_feature_detected!("avx512bf16").then_some(Self(simd))
    }

    /// Whether they multiply more numbers at a time than float32 does. Intel's processors do half as many as AMD's (Sapphire
    /// Rapids was measured: products of 512 vectors take 1.5 to 1.8 times as long as in float32), which is enough for as many as
    /// wait for memory.
    pub fn is_ahead_of_float32() -> bool {
        static IS_AHEAD: OnceLock<bool> = OnceLock::new();
        *IS_AHEAD.get_or_init(|| !is_made_by(b"GenuineIntel"))
    }

    #[inline(always)]
    pub fn simd(self) -> V4 {
        self.0
    }

    /// Runs `f` compiled for these instructions, if all it calls is `#[inline(always)]`.
    #[inline(always)]
    pub fn vectorize<F: FnOnce()>(self, f: F) {
        #[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512bf16,bmi1,bmi2,lzcnt,popcnt,fxsr")]
        fn run<F: FnOnce()>(f: F) {
            f();
        }
        // SAFETY: `self` is proof of these instructions.
        unsafe { run(f) }
    }

    /// Adds to each float32 lane of `sum` its two products of bfloat16 pairs.
    ///
    /// A product is exact, each of the two sums rounded to nearest. Numbers below 2^-126 count as zero.
    #[inline(always)]
    pub fn dot(self, sum: __m512, a: __m512bh, b: __m512bh) -> __m512 {
        // SAFETY: `self` is proof of these instructions.
        unsafe { _mm512_dpbf16_ps(sum, a, b) }
    }
}
