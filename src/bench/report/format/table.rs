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

    /// The table without columns that tell nothing: those of dashes, and those of `constant` headers with the same cell
    /// in each row. The first column stays.
    pub(super) fn telling(&self, constant: &[&str]) -> Table {
        let tells = |column: &usize| {
            let cells = || self.rows.iter().filter_map(|row| row.get(*column));
            let is_empty = cells().all(|cell| cell == "—" || cell.is_empty());
            let is_constant = constant.contains(&&*self.head[*column])
                && cells().all(|cell| Some(cell) == self.rows[0].get(*column));
            *column == 0 || !(is_empty || is_constant)
        };
        let columns: Vec<usize> = (0..self.head.len()).filter(tells).collect();
        let of = |row: &Vec<String>| columns.iter().filter_map(|column| row.get(*column).cloned()).collect();
        Table { head: of(&self.head), rows: self.rows.iter().map(of).collect() }
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
