"""Opens a page in Chromium, as PyQt6-WebEngine brings it, and prints what is asked of it as JSON.

    python browser.py PAGE WIDTH light|dark TABS

It also tells where the keyboard is after each of so many tabs.

A process of its own: a browser is no guest of a process that runs tests.
"""

import json
import os
import sys

WHAT = """(() => {
  const images = [...document.images];
  const headings = [...document.querySelectorAll("h1,h2,h3,h4,h5,h6")];
  return JSON.stringify({
    dark: matchMedia("(prefers-color-scheme: dark)").matches,
    scrolls: document.documentElement.scrollWidth, width: innerWidth,
    images: images.length,
    broken: images.filter(each => !each.complete || !each.naturalWidth).map(each => each.alt),
    silent: images.filter(each => !each.hasAttribute("alt")).length,
    unnamed: images.filter(each => !each.alt && !each.closest("a")).length,
    levels: headings.filter(each => each.checkVisibility()).map(each => +each.tagName[1]),
    heading: (document.querySelector("h1")?.firstChild ?? {}).textContent,
    lang: document.documentElement.lang,
  });
})()"""

READY = "document.readyState == 'complete' && !!document.querySelector('h1')"
WHERE = "document.activeElement.getAttribute('href') || document.activeElement.tagName"
PAUSE, TRIES, SETTLED = 100, 300, 700  # ms, times, ms


def main(path: str, width: str, scheme: str, tabs: str) -> None:
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    dark = " --blink-settings=preferredColorScheme=0" if scheme == "dark" else ""
    os.environ["QTWEBENGINE_CHROMIUM_FLAGS"] = f"--no-sandbox --disable-gpu{dark}"
    from PyQt6.QtCore import QEvent, Qt, QTimer, QUrl
    from PyQt6.QtGui import QKeyEvent
    from PyQt6.QtWebEngineCore import QWebEnginePage
    from PyQt6.QtWebEngineWidgets import QWebEngineView
    from PyQt6.QtWidgets import QApplication

    said: list[str] = []

    class Page(QWebEnginePage):
        def javaScriptConsoleMessage(self, level, message, line, source):  # noqa: N802
            said.append(message)

    app, view = QApplication(["browser"]), QWebEngineView()
    page = Page(view)
    view.setPage(page)
    view.resize(int(width), 850)
    view.show()

    def tell(found: str, steps: list[str]) -> None:
        print(json.dumps({**json.loads(found), "said": said, "steps": steps}))  # noqa: T201
        app.quit()

    def tab(left: int, steps: list[str], found: str) -> None:
        if not left:
            tell(found, steps)
            return
        for kind in (QEvent.Type.KeyPress, QEvent.Type.KeyRelease):
            event = QKeyEvent(kind, Qt.Key.Key_Tab, Qt.KeyboardModifier.NoModifier)
            QApplication.sendEvent(view.focusProxy(), event)
        before = steps[-1] if steps else "BODY"
        ask(WHERE, lambda at: at != before, lambda at: tab(left - 1, [*steps, at], found))

    def ask(what: str, is_so, then, tries: int = TRIES) -> None:
        """Ask until it is so, and go on; a busy machine takes its time."""

        def heard(found) -> None:
            if tries > 1 and not is_so(found):
                QTimer.singleShot(PAUSE, lambda: ask(what, is_so, then, tries - 1))
            else:
                then(found)

        page.runJavaScript(what, heard)

    def look(_: object) -> None:
        view.setFocus()
        QTimer.singleShot(
            SETTLED, lambda: page.runJavaScript(WHAT, lambda found: tab(int(tabs), [], found))
        )

    begun: list[bool] = []

    def loaded(_: bool) -> None:
        if not begun:  # a page that leads to another is loaded, too, before that is
            begun.append(True)
            ask(READY, bool, look)

    view.loadFinished.connect(loaded)
    view.load(QUrl.fromLocalFile(path))
    app.exec()


if __name__ == "__main__":
    main(*sys.argv[1:])
