//! `GET /api/categories`, and what a category is.

use actix_web::{HttpResponse, get, http::header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a meetup is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[sqlx(type_name = "text", rename_all = "kebab-case")]
pub(crate) enum Category {
    Exercise,
    Sports,
    Travel,
    Culture,
    Art,
    Activity,
    Dating,
    SelfDevelopment,
    Hobby,
}

/// A category's names.
#[derive(Serialize, ToSchema)]
pub(super) struct CategoryNames {
    key: Category,
    #[schema(example = "운동")]
    ko: &'static str,
    #[schema(example = "Exercise")]
    en: &'static str,
}

const fn names(key: Category, ko: &'static str, en: &'static str) -> CategoryNames {
    CategoryNames { key, ko, en }
}

/// In the order in which people see them.
static CATEGORIES: [CategoryNames; 9] = [
    names(Category::Exercise, "운동", "Exercise"),
    names(Category::Sports, "스포츠", "Sports"),
    names(Category::Travel, "여행", "Travel"),
    names(Category::Culture, "문화", "Culture"),
    names(Category::Art, "예술", "Art"),
    names(Category::Activity, "액티비티", "Activity"),
    names(Category::Dating, "연애", "Dating"),
    names(Category::SelfDevelopment, "자기계발", "Self-development"),
    names(Category::Hobby, "취미", "Hobby"),
];

/// All categories.
#[utoipa::path(tag = "meetups", responses((status = 200, body = [CategoryNames])))]
#[get("/api/categories")]
pub(super) async fn categories() -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "public, max-age=3600")).json(&CATEGORIES)
}
