"""Workbooks for tests, written by hand: an .xlsx file is an archive of XML files."""

import datetime as dt
import io
import zipfile
from xml.sax.saxutils import escape

_MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
_DOCUMENT = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"


def workbook(sheets):
    """An .xlsx file: sheet name -> rows of text, numbers, dates with times, and None."""
    content = io.BytesIO()
    numbers = range(1, len(sheets) + 1)
    with zipfile.ZipFile(content, "w") as out:
        kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
        parts = "".join(
            f'<Override PartName="/xl/worksheets/s{i}.xml" ContentType="{kind}.worksheet+xml"/>' for i in numbers
        )
        types = (
            f'<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>{parts}'
        )
        types += f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
        types += f'<Override PartName="/xl/styles.xml" ContentType="{kind}.styles+xml"/>'
        out.writestr("[Content_Types].xml", f'<Types xmlns="{_PACKAGE}/content-types">{types}</Types>')
        out.writestr("_rels/.rels", _relations([("rId1", "officeDocument", "xl/workbook.xml")]))
        listed = "".join(f'<sheet name="{name}" sheetId="{i}" r:id="rId{i}"/>' for i, name in zip(numbers, sheets))
        out.writestr("xl/workbook.xml", f'<workbook {_MAIN} xmlns:r="{_DOCUMENT}"><sheets>{listed}</sheets></workbook>')
        links = [(f"rId{i}", "worksheet", f"worksheets/s{i}.xml") for i in numbers]
        out.writestr("xl/_rels/workbook.xml.rels", _relations([*links, ("rId99", "styles", "styles.xml")]))
        dates = '<numFmts count="1"><numFmt numFmtId="164" formatCode="yyyy-mm-dd hh:mm:ss"/></numFmts>'
        formats = '<cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="164" applyNumberFormat="1"/></cellXfs>'
        out.writestr("xl/styles.xml", f"<styleSheet {_MAIN}>{dates}{formats}</styleSheet>")
        for i, rows in zip(numbers, sheets.values()):
            lines = "".join(_row(number, cells) for number, cells in enumerate(rows, 1))
            out.writestr(f"xl/worksheets/s{i}.xml", f"<worksheet {_MAIN}><sheetData>{lines}</sheetData></worksheet>")
    return content.getvalue()


def _relations(links):
    entries = "".join(
        f'<Relationship Id="{i}" Type="{_DOCUMENT}/{kind}" Target="{target}"/>' for i, kind, target in links
    )
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{entries}</Relationships>'


def _row(number, cells):
    return f'<row r="{number}">{"".join(_cell(f"{chr(65 + i)}{number}", cell) for i, cell in enumerate(cells))}</row>'


def _cell(at, value):
    if value is None:
        return ""
    if isinstance(value, dt.datetime):
        days = (value - dt.datetime(1899, 12, 30)) / dt.timedelta(days=1)
        return f'<c r="{at}" s="1"><v>{days}</v></c>'
    if isinstance(value, (int, float)):
        return f'<c r="{at}"><v>{value}</v></c>'
    return f'<c r="{at}" t="inlineStr"><is><t xml:space="preserve">{escape(value)}</t></is></c>'
