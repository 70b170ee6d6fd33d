//! How locales write numbers, for FORMAT.
//!
//! Owns:     the list of locales.
//! Promises: MySQL's names of locales.
//! Never:    names months or days: those are always en_US (lc_time_names cannot be changed).

pub struct NumberFormat {
    pub point: &'static str,
    pub separator: &'static str,
    /// Sizes of groups from the right: the first, and all others. 0: no groups.
    pub groups: (usize, usize),
}

const COMMA: NumberFormat = NumberFormat { point: ".", separator: ",", groups: (3, 3) };

static FORMATS: &[(NumberFormat, &str)] = &[
    (
        COMMA,
        "ar_AE ar_BH ar_DZ ar_EG ar_IN ar_IQ ar_JO ar_KW ar_LB ar_LY ar_MA ar_OM ar_QA ar_SD ar_SY ar_TN ar_YE en_AU en_CA en_GB en_NZ en_PH en_US en_ZA \
         en_ZW es_DO es_GT es_HN es_MX es_NI es_PA es_PE es_PR es_SV es_US gu_IN he_IL hi_IN ja_JP ko_KR ms_MY th_TH ur_PK zh_CN zh_HK zh_TW",
    ),
    (NumberFormat { point: ".", separator: ",", groups: (3, 2) }, "en_IN ta_IN te_IN"),
    (
        NumberFormat { point: ",", separator: ".", groups: (3, 3) },
        "be_BY da_DK de_BE de_DE de_LU es_AR es_BO es_CL es_CO es_EC es_ES es_PY es_UY es_VE fo_FO hu_HU id_ID is_IS lt_LT mn_MN nb_NO no_NO ro_RO ru_UA \
         sq_AL tr_TR uk_UA vi_VN",
    ),
    (NumberFormat { point: ",", separator: " ", groups: (3, 3) }, "cs_CZ es_CR et_EE fi_FI lv_LV mk_MK ru_RU sk_SK sv_FI sv_SE"),
    (NumberFormat { point: ",", separator: "'", groups: (3, 3) }, "it_CH rm_CH"),
    (NumberFormat { point: ".", separator: "'", groups: (3, 3) }, "de_CH"),
    (NumberFormat { point: ".", separator: "", groups: (0, 0) }, "ar_SA sr_RS"),
    (
        NumberFormat { point: ",", separator: "", groups: (0, 0) },
        "bg_BG ca_ES de_AT el_GR eu_ES fr_BE fr_CA fr_CH fr_FR fr_LU gl_ES hr_HR it_IT nl_BE nl_NL pl_PL pt_BR pt_PT sl_SI",
    ),
];

pub const DEFAULT: &NumberFormat = &COMMA;

pub fn number_format(locale: &str) -> Option<&'static NumberFormat> {
    FORMATS.iter().find(|(_, names)| names.split_ascii_whitespace().any(|n| n.eq_ignore_ascii_case(locale))).map(|(format, _)| format)
}

/// `digits` (with `.` as its point, and perhaps a sign) as the locale writes it.
pub fn write_number(digits: &str, format: &NumberFormat) -> String {
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", digits),
    };
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(w, f)| (w, Some(f)));
    let mut groups = Vec::new();
    let (mut rest, mut size) = (whole, format.groups.0);
    while size > 0 && rest.len() > size {
        let (left, group) = rest.split_at(rest.len() - size);
        groups.push(group);
        rest = left;
        size = format.groups.1;
    }
    groups.push(rest);
    groups.reverse();
    let mut out = format!("{sign}{}", groups.join(format.separator));
    if let Some(fraction) = fraction {
        out.push_str(format.point);
        out.push_str(fraction);
    }
    out
}
