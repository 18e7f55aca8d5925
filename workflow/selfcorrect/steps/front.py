"""Put the page of what came out at the front of Snakemake's report, where it opens.

    python -m selfcorrect.steps.front --report FILE

Snakemake shows an HTML result in a frame whose address is the whole page, and browsers open no
address of over two megabytes, which a page with its figures soon has. Here the report makes such
addresses short when it is opened, and shows the page first.
"""

from collections.abc import Sequence

from selfcorrect.steps import cli

END = "</body>"
MARK = '<script id="front">'
# `results` and `app` are the report's own: what it holds, by path, and what shows it.
SCRIPT = """
for (const result of Object.values(results)) {
    if (!result.data_uri.startsWith("data:text/html")) continue;
    const text = atob(result.data_uri.split(",")[1]);
    const bytes = Uint8Array.from(text, letter => letter.charCodeAt(0));
    const page = new Blob([bytes], {type: "text/html;charset=utf-8"});
    result.data_uri = URL.createObjectURL(page);
}
(function show() {
    const path = Object.keys(results).find(path => path.endsWith("report/index.html"));
    if (!path) return;
    if (!app || !document.querySelector("nav")) return setTimeout(show, 50); // not drawn yet
    const narrow = window.innerWidth < 800;
    app.setView({content: "html", contentPath: results[path].data_uri, resultPath: path,
                 hideNavbar: narrow});
})();
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Add the script that does so; a report that has it stays as it is."""
    parser = cli.parser(__doc__, spec=False)
    cli.path_argument(parser, "report", "Snakemake's report, one HTML file")
    path = parser.parse_args(argv).report

    from selfcorrect import files

    try:
        text = path.read_text()
    except FileNotFoundError as error:
        raise files.FileProblem(f"{path}: no such file") from error
    if MARK in text:
        return
    whole, end, after = text.rpartition(END)
    if not end or "root.render(e(App))" not in text:
        raise files.FileProblem(f"{path}: not a report of Snakemake's as one HTML file")
    with files.replacing(path) as temporary:
        temporary.write_text(f"{whole}{MARK}{SCRIPT}</script>\n{end}{after}")


if __name__ == "__main__":
    cli.run(main)
