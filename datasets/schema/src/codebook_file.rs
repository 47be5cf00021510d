//! Codebook files: TOML in and out, canonical JSON and the codebook hash.

use serde::{Deserialize, Serialize};

use crate::codebook::{CODEBOOK_VERSION, Codebook, CodebookError};
use crate::column::{Category, Column, ColumnKind};
use crate::cube::ModulusClass;
use crate::decimal::Decimal;
use crate::digest::keccak256;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CodebookForm {
    version: u32,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    person_key: Option<String>,
    #[serde(default)]
    columns: Vec<ColumnForm>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    cubes: Vec<CubeForm>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CubeForm {
    name: String,
    columns: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    modulus: Option<String>,
}

impl CubeForm {
    fn class(&self) -> Result<ModulusClass, CodebookError> {
        let Some(word) = &self.modulus else {
            return Ok(ModulusClass::default());
        };
        [ModulusClass::Counts, ModulusClass::Sums]
            .into_iter()
            .find(|class| class.word() == word)
            .ok_or_else(|| CodebookError::CubeModulus {
                cube: self.name.clone(),
                found: word.clone(),
            })
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ColumnForm {
    name: String,
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    units: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    missing: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    values: Option<Vec<CategoryForm>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    edges: Option<Vec<NumberForm>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    min: Option<NumberForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    step: Option<NumberForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max: Option<NumberForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rounding: Option<bool>,
}

/// A value, or a value and how answers show it.
#[derive(Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "a value is a text, or a table such as { value = \"0\", label = \"male\" }"
)]
enum CategoryForm {
    Plain(String),
    Labelled(LabelledForm),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LabelledForm {
    value: String,
    label: String,
}

/// A decimal as a text, or an integer; a TOML float would not be exact.
#[derive(Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "a number is an integer or an exact decimal in quotes such as \"0.5\""
)]
enum NumberForm {
    Integer(i64),
    Text(String),
}

impl NumberForm {
    fn of(number: Decimal) -> Self {
        Self::Text(number.to_string())
    }

    fn read(&self, column: &str, field: &'static str) -> Result<Decimal, CodebookError> {
        match self {
            Self::Integer(number) => Ok(Decimal::from(*number)),
            Self::Text(text) => text.parse().map_err(|_| CodebookError::Number {
                column: column.to_owned(),
                field,
                text: text.clone(),
            }),
        }
    }
}

impl ColumnForm {
    fn of(column: &Column) -> Self {
        let mut form = Self {
            name: column.name.clone(),
            kind: column.kind.word().to_owned(),
            description: column.description.clone(),
            units: column.units.clone(),
            missing: column.missing.clone(),
            ..Self::default()
        };
        match &column.kind {
            ColumnKind::Categorical(categories) | ColumnKind::Ordered(categories) => {
                form.values = Some(categories.entries().iter().map(category_form).collect());
            }
            ColumnKind::Bucketed(buckets) => {
                form.edges = Some(
                    buckets
                        .edges()
                        .iter()
                        .copied()
                        .map(NumberForm::of)
                        .collect(),
                );
            }
            ColumnKind::Exact(grid) => {
                form.min = Some(NumberForm::of(grid.min()));
                form.step = Some(NumberForm::of(grid.step()));
                form.max = Some(NumberForm::of(grid.max()));
                form.rounding = grid.rounding().then_some(true);
            }
        }
        form
    }

    fn read(self) -> Result<Column, CodebookError> {
        let name = self.name.clone();
        let (description, units) = (self.description.clone(), self.units.clone());
        let mut column = match self.kind.as_str() {
            "categorical" => {
                let (name, values, missing) = self.categories("categorical")?;
                Column::categorical(name, values, missing)?
            }
            "ordered" => {
                let (name, values, missing) = self.categories("ordered")?;
                Column::ordered(name, values, missing)?
            }
            "bucketed" => {
                self.refuse("bucketed", &["values", "min", "step", "max", "rounding"])?;
                let edges = self
                    .edges
                    .as_ref()
                    .ok_or_else(|| wanted(&name, "bucketed", "edges"))?;
                let edges = edges.iter().map(|edge| edge.read(&name, "edges"));
                Column::bucketed(&name, edges.collect::<Result<_, _>>()?, self.missing)?
            }
            "exact" => {
                self.refuse("exact", &["values", "edges"])?;
                let number = |form: &Option<NumberForm>, field| {
                    let form = form.as_ref().ok_or_else(|| wanted(&name, "exact", field))?;
                    form.read(&name, field)
                };
                let grid = (
                    number(&self.min, "min")?,
                    number(&self.step, "step")?,
                    number(&self.max, "max")?,
                );
                Column::exact(&name, grid, self.rounding.unwrap_or(false), self.missing)?
            }
            _ => {
                return Err(CodebookError::Kind {
                    column: name,
                    found: self.kind,
                });
            }
        };
        column.description = description;
        column.units = units;
        Ok(column)
    }

    fn categories(
        self,
        kind: &'static str,
    ) -> Result<(String, Vec<Category>, Vec<String>), CodebookError> {
        self.refuse(kind, &["edges", "min", "step", "max", "rounding"])?;
        let values = self
            .values
            .ok_or_else(|| wanted(&self.name, kind, "values"))?;
        let values = values
            .into_iter()
            .map(|form| match form {
                CategoryForm::Plain(value) => Category::plain(value),
                CategoryForm::Labelled(LabelledForm { value, label }) => Category { value, label },
            })
            .collect();
        Ok((self.name, values, self.missing))
    }

    /// Refuses fields that a kind does not have.
    fn refuse(&self, kind: &'static str, fields: &[&'static str]) -> Result<(), CodebookError> {
        let given = |field: &str| match field {
            "values" => self.values.is_some(),
            "edges" => self.edges.is_some(),
            "min" => self.min.is_some(),
            "step" => self.step.is_some(),
            "max" => self.max.is_some(),
            _ => self.rounding.is_some(),
        };
        match fields.iter().find(|field| given(field)) {
            Some(field) => Err(CodebookError::FieldUnused {
                column: self.name.clone(),
                kind,
                field,
            }),
            None => Ok(()),
        }
    }
}

fn category_form(category: &Category) -> CategoryForm {
    if category.label == category.value {
        CategoryForm::Plain(category.value.clone())
    } else {
        CategoryForm::Labelled(LabelledForm {
            value: category.value.clone(),
            label: category.label.clone(),
        })
    }
}

fn wanted(column: &str, kind: &'static str, field: &'static str) -> CodebookError {
    CodebookError::FieldWanted {
        column: column.to_owned(),
        kind,
        field,
    }
}

impl Codebook {
    /// The codebook that a TOML text describes.
    ///
    /// # Errors
    /// If the text is not TOML, has unknown or missing fields, or describes columns that cannot be coded; the error names
    /// the column and what to write instead.
    pub fn from_toml(text: &str) -> Result<Self, CodebookError> {
        let form: CodebookForm = toml::from_str(text).map_err(|error| CodebookError::Toml {
            message: error.to_string().trim_end().to_owned(),
        })?;
        if form.version != CODEBOOK_VERSION {
            return Err(CodebookError::Version {
                found: form.version,
            });
        }
        let columns = form
            .columns
            .into_iter()
            .map(ColumnForm::read)
            .collect::<Result<_, _>>()?;
        let codebook = Self::new(form.name, form.person_key, columns)?;
        let cubes = form.cubes.iter();
        let cubes = cubes.map(|cube| codebook.cube(&cube.name, &cube.columns, cube.class()?));
        let cubes = cubes.collect::<Result<_, _>>()?;
        codebook.with_cubes(cubes)
    }

    /// The codebook as TOML, for people to read and edit; [`Codebook::from_toml`] reads it back unchanged.
    pub fn to_toml(&self) -> String {
        toml::to_string(&self.form())
            .expect("the form holds only strings, integers, booleans and lists")
    }

    /// The canonical JSON text: no blanks, fields in the order of the file format.
    pub fn canonical_json(&self) -> String {
        serde_json::to_string(&self.form())
            .expect("the form holds only strings, integers and lists")
    }

    /// The keccak of the canonical JSON text.
    pub fn hash(&self) -> [u8; 32] {
        keccak256(self.canonical_json().as_bytes())
    }

    fn form(&self) -> CodebookForm {
        CodebookForm {
            version: self.version,
            name: self.name.clone(),
            person_key: self.person_key.clone(),
            columns: self.columns.iter().map(ColumnForm::of).collect(),
            cubes: self
                .cubes
                .iter()
                .map(|cube| CubeForm {
                    name: cube.name().to_owned(),
                    columns: self.cube_column_names(cube),
                    modulus: (cube.modulus() != ModulusClass::default())
                        .then(|| cube.modulus().word().to_owned()),
                })
                .collect(),
        }
    }
}
