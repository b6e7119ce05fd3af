//! Tables of a report, before they are written in a format.

/// A table: a header, and one row of cells for each item. The first column names the item.
pub(super) struct Table {
    pub(super) head: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

impl Table {
    /// True if the table has no rows besides its header.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// Columns of a table over a list of items, added one by one.
pub(super) struct Columns<T> {
    items: Vec<T>,
    table: Table,
}

impl<T> Columns<T> {
    /// A table with one row for each item, and no columns yet.
    pub(super) fn over(items: impl IntoIterator<Item = T>) -> Columns<T> {
        let items: Vec<T> = items.into_iter().collect();
        let rows = vec![Vec::new(); items.len()];
        Columns { items, table: Table { head: Vec::new(), rows } }
    }

    /// Adds a column.
    pub(super) fn column(mut self, header: impl Into<String>, cell: impl Fn(&T) -> String) -> Columns<T> {
        self.table.head.push(header.into());
        for (row, item) in self.table.rows.iter_mut().zip(&self.items) {
            row.push(cell(item));
        }
        self
    }

    /// The table.
    pub(super) fn table(self) -> Table {
        self.table
    }
}
