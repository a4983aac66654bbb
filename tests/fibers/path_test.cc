// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/path.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>
#include <unordered_set>
#include <vector>

#include "tests/support/temporary_directory.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/testing/checkpoints.h"
#include "weft/fibers/testing/fiber_test.h"

namespace weft::fibers {
namespace {

using testing::assert_checkpoints;
using Strings = std::vector<std::string>;

// The paths, as seen from `base`.
Strings below(const Path& base, const std::vector<Path>& paths) {
  Strings names;
  names.reserve(paths.size());
  for (const Path& path : paths) names.push_back(path.relative_to(base).string());
  return names;
}

void expect_names(const std::string& path, const std::function<void()>& body) {
  try {
    body();
    FAIL() << "no error for " << path;
  } catch (const std::system_error& error) {
    EXPECT_NE(std::string(error.what()).find(path), std::string::npos) << error.what();
  }
}

// --- The text alone. ---

// trio: test_path.py::test_instantiate_posix
// trio: test_path.py::test_path_wraps_path
TEST(PathTest, IsWrittenInOneWay) {
  EXPECT_EQ(Path("a//b/./c/").string(), "a/b/c");
  EXPECT_EQ(Path("/").string(), "/");
  EXPECT_EQ(Path("").string(), ".");
  EXPECT_EQ(Path("./x").string(), "x");
  EXPECT_EQ(Path("a/../b").string(), "a/../b");
  EXPECT_EQ(Path(Path("x/y")), Path(std::filesystem::path("x/y")));
  const Path etc("/etc");
  const std::filesystem::path& native = etc;
  EXPECT_EQ(native, "/etc");
  // The system would read it as another path.
  EXPECT_THROW(Path(std::string("/etc\0/x", 7)), UsageError);
  EXPECT_THROW(etc / std::string("\0", 1), UsageError);
}

// trio: test_path.py::test_cmp_magic
TEST(PathTest, Compares) {
  EXPECT_EQ(Path("a/b"), Path("a//b/"));
  EXPECT_NE(Path("a"), Path("b"));
  EXPECT_LT(Path("a"), Path("b"));
  EXPECT_GE(Path("b"), Path("b"));
  EXPECT_EQ(Path("a"), "a");
}

// trio: test_path.py::test_div_magic
TEST(PathTest, JoinsBySlash) {
  EXPECT_EQ(Path("a") / "b", Path("a/b"));
  EXPECT_EQ("a" / Path("b"), Path("a/b"));
  EXPECT_EQ(Path("a") / std::string("b") / Path("c"), Path("a/b/c"));
  EXPECT_EQ(Path("a") / "/b", Path("/b"));
  EXPECT_EQ(Path("") / "b", Path("b"));
  EXPECT_EQ(Path("a").joinpath("b"), Path("a/b"));
}

// trio: test_path.py::test_hash_magic
TEST(PathTest, EqualPathsHaveEqualHashes) {
  const std::unordered_set<Path> paths{"a/b", "a//b", "c"};
  EXPECT_EQ(paths.size(), 2U);
  EXPECT_EQ(paths.count("a/b/"), 1U);
}

// trio: test_path.py::test_forward_methods_rewrap
TEST(PathTest, ComesApartAndTogether) {
  const Path path("/usr/lib/x.tar.gz");
  EXPECT_EQ(path.name(), "x.tar.gz");
  EXPECT_EQ(path.stem(), "x.tar");
  EXPECT_EQ(path.suffix(), ".gz");
  EXPECT_EQ(path.parent(), Path("/usr/lib"));
  EXPECT_EQ(path.parts(), (Strings{"/", "usr", "lib", "x.tar.gz"}));
  EXPECT_EQ(path.parents(), (std::vector<Path>{"/usr/lib", "/usr", "/"}));
  EXPECT_TRUE(path.is_absolute());
  EXPECT_EQ(Path("/").parent(), Path("/"));
  EXPECT_EQ(Path("a").parent(), Path("."));
  EXPECT_EQ(Path(".").parent(), Path("."));
  EXPECT_EQ(Path(".").name(), "");
  EXPECT_EQ(Path(".bashrc").suffix(), "");
  EXPECT_EQ(path.with_name("y"), Path("/usr/lib/y"));
  EXPECT_EQ(path.with_stem("y"), Path("/usr/lib/y.gz"));
  EXPECT_EQ(path.with_suffix(".xz"), Path("/usr/lib/x.tar.xz"));
  EXPECT_EQ(path.with_suffix(""), Path("/usr/lib/x.tar"));
  EXPECT_THROW(path.with_name("a/b"), UsageError);
  EXPECT_THROW(path.with_suffix("gz"), UsageError);
  EXPECT_THROW(Path("/").with_name("x"), UsageError);
}

TEST(PathTest, IsRelativeToWhatItBeginsWith) {
  EXPECT_EQ(Path("/usr/lib/x").relative_to("/usr"), Path("lib/x"));
  EXPECT_EQ(Path("/usr").relative_to("/usr"), Path("."));
  EXPECT_EQ(Path("a/b").relative_to("."), Path("a/b"));
  EXPECT_TRUE(Path("/usr/lib").is_relative_to("/"));
  EXPECT_FALSE(Path("/usrlib").is_relative_to("/usr"));
  EXPECT_FALSE(Path("/usr").is_relative_to("."));
  EXPECT_THROW(Path("/usr").relative_to("/lib"), UsageError);
}

// trio: test_path.py::test_as_uri
TEST(PathTest, HasAUri) {
  EXPECT_EQ(Path("/a b/\xc3\xa9~%").as_uri(), "file:///a%20b/%C3%A9~%25");
  EXPECT_THROW(static_cast<void>(Path("a").as_uri()), UsageError);
  EXPECT_EQ(Path("/a/b").as_posix(), "/a/b");
}

// --- The files behind it. ---

// trio: test_path.py::test_async_methods_rewrap
FIBER_TEST(PathTest, WholeFilesAreReadAndWritten) {
  const test::TemporaryDirectory directory;
  const Path path = Path(directory.path()) / "file";
  assert_checkpoints([&] { EXPECT_EQ(path.write_text("text\n"), 5U); });
  assert_checkpoints([&] { EXPECT_EQ(path.read_text(), "text\n"); });
  const std::vector<std::byte> bytes{std::byte{0}, std::byte{255}};
  EXPECT_EQ(path.write_bytes(bytes), 2U);
  EXPECT_EQ(path.read_bytes(), bytes);
  const Path missing = path / "nothing";
  expect_names(missing.string(), [&] { static_cast<void>(missing.read_text()); });
  expect_names(missing.string(), [&] { missing.write_text("x"); });
}

// trio: test_path.py::test_open_is_async_context_manager
// trio: test_path.py::test_open_file_can_open_path
FIBER_TEST(PathTest, Opens) {
  const test::TemporaryDirectory directory;
  const Path path = Path(directory.path()) / "file";
  File file = path.open("w");
  file.write("x");
  file.aclose();
  EXPECT_EQ(open_file(path, "r", [](File& opened) { return opened.read(); }), "x");
  EXPECT_EQ(open_file(path).name(), path.string());
}

// trio: test_path.py::test_compare_async_stat_methods
FIBER_TEST(PathTest, TellsWhatIsThere) {
  const test::TemporaryDirectory directory;
  const Path base(directory.path());
  const Path file = base / "file";
  file.touch();
  const Path fifo = base / "fifo";
  ASSERT_EQ(::mkfifo(fifo.string().c_str(), 0600), 0);
  EXPECT_TRUE(file.exists());
  EXPECT_TRUE(file.is_file());
  EXPECT_FALSE(file.is_dir());
  EXPECT_TRUE(base.is_dir());
  EXPECT_FALSE(base.is_file());
  EXPECT_TRUE(fifo.is_fifo());
  EXPECT_FALSE(fifo.is_socket());
  EXPECT_TRUE(Path("/dev/null").is_char_device());
  EXPECT_FALSE(Path("/dev/null").is_block_device());
  EXPECT_TRUE(Path("/").is_mount());
  EXPECT_FALSE(file.is_mount());
  EXPECT_FALSE((file / "below a file").exists());
  EXPECT_TRUE(file.samefile(base / "." / "file"));
  EXPECT_FALSE(file.samefile(base));
}

// trio: test_path.py::test_compare_async_stat_methods
FIBER_TEST(PathTest, TellsLinksFromWhatTheyLeadTo) {
  const test::TemporaryDirectory directory;
  const Path base(directory.path());
  const Path link = base / "link";
  link.symlink_to("nowhere");
  // A link that leads nowhere is there, and not there.
  EXPECT_FALSE(link.exists());
  EXPECT_TRUE(link.is_symlink());
  EXPECT_FALSE(base.is_symlink());
  EXPECT_EQ(link.readlink(), Path("nowhere"));
  EXPECT_FALSE((base / "nothing").is_symlink());
  EXPECT_TRUE(S_ISLNK(link.lstat().st_mode));
  expect_names(link.string(), [&] { link.stat(); });
}

// trio: test_path.py::test_compare_async_stat_methods
FIBER_TEST(PathTest, TellsTheStateOfAFile) {
  const test::TemporaryDirectory directory;
  const Path file = Path(directory.path()) / "file";
  file.write_text("12345");
  const StatResult found = file.stat();
  EXPECT_EQ(found.st_size, 5);
  EXPECT_TRUE(S_ISREG(found.st_mode));
  EXPECT_EQ(found.st_nlink, 1U);
  EXPECT_EQ(found.st_uid, ::getuid());
  EXPECT_GT(found.mtime.time_since_epoch().count(), 0);
  EXPECT_EQ(Path("/").owner(), "root");
  EXPECT_EQ(Path("/").group(), "root");
}

// trio: test_path.py::test_iterdir
FIBER_TEST(PathTest, ListsADirectory) {
  const test::TemporaryDirectory directory;
  const Path base(directory.path());
  for (const char* name : {"b", "a", ".hidden"}) (base / name).touch();
  assert_checkpoints([&] {
    EXPECT_EQ(below(base, base.iterdir()), (Strings{".hidden", "a", "b"}));
  });
  expect_names((base / "nothing").string(), [&] { (base / "nothing").iterdir(); });
  expect_names((base / "a").string(), [&] { (base / "a").iterdir(); });
}

// trio: test_path.py::test_globmethods
FIBER_TEST(PathTest, FindsByPattern) {
  const test::TemporaryDirectory directory;
  const Path base(directory.path());
  (base / "one/two").mkdir({.parents = true});
  for (const char* name : {"a.txt", "b.txt", "c.md", "one/d.txt", "one/two/e.txt"}) {
    (base / name).touch();
  }
  (base / "circle").symlink_to(".");
  EXPECT_EQ(below(base, base.glob("*.txt")), (Strings{"a.txt", "b.txt"}));
  EXPECT_EQ(below(base, base.glob("[bc].*")), (Strings{"b.txt", "c.md"}));
  EXPECT_EQ(below(base, base.glob("one/?.txt")), (Strings{"one/d.txt"}));
  EXPECT_EQ(below(base, base.glob("**/*.txt")),
            (Strings{"a.txt", "b.txt", "one/d.txt", "one/two/e.txt"}));
  EXPECT_EQ(below(base, base.rglob("e.*")), (Strings{"one/two/e.txt"}));
  EXPECT_EQ(below(base, base.glob("**")), (Strings{".", "one", "one/two"}));
  EXPECT_EQ(below(base, base.glob("*/two")), (Strings{"one/two"}));
  EXPECT_TRUE(base.glob("nothing/*").empty());
  EXPECT_TRUE((base / "nothing").glob("*").empty());
  EXPECT_THROW(base.glob("/etc/*"), UsageError);
  EXPECT_THROW(base.glob(""), UsageError);
  EXPECT_THROW(base.glob(std::string("*\0", 2)), UsageError);
}

FIBER_TEST(PathTest, MakesAndRemovesDirectories) {
  const test::TemporaryDirectory directory;
  const Path base(directory.path());
  const Path deep = base / "x/y/z";
  expect_names(deep.string(), [&] { deep.mkdir(); });
  deep.mkdir({.mode = 0700, .parents = true});
  EXPECT_EQ(deep.stat().st_mode & 0777, 0700U);
  expect_names(deep.string(), [&] { deep.mkdir(); });
  deep.mkdir({.parents = true, .exist_ok = true});
  const Path file = base / "file";
  file.touch();
  expect_names(file.string(), [&] { file.mkdir({.exist_ok = true}); });
  expect_names((base / "x").string(), [&] { (base / "x").rmdir(); });
  deep.rmdir();
  EXPECT_FALSE(deep.exists());
}

FIBER_TEST(PathTest, ChangesFiles) {
  const test::TemporaryDirectory directory;
  const Path base(directory.path());
  const Path file = base / "file";
  file.touch({.mode = 0600});
  EXPECT_EQ(file.stat().st_mode & 0777, 0600U);
  expect_names(file.string(), [&] { file.touch({.exist_ok = false}); });
  EXPECT_NO_THROW(base.touch());  // A directory, too.
  file.chmod(0640);
  EXPECT_EQ(file.stat().st_mode & 0777, 0640U);
  file.write_text("x");
  const Path hard = base / "hard";
  hard.hardlink_to(file);
  EXPECT_TRUE(hard.samefile(file));
  EXPECT_EQ(file.rename(base / "renamed"), base / "renamed");
  EXPECT_EQ((base / "renamed").read_text(), "x");
  (base / "other").touch();
  (base / "renamed").replace(base / "other");
  EXPECT_EQ((base / "other").read_text(), "x");
  expect_names(file.string(), [&] { file.rename(base / "again"); });
  expect_names("no such/place", [&] { (base / "other").rename(base / "no such/place"); });
  expect_names("no such/file", [&] { (base / "link").hardlink_to(base / "no such/file"); });
  expect_names(file.string(), [&] { file.unlink(); });
  file.unlink({.missing_ok = true});
  (base / "other").unlink();
  EXPECT_FALSE((base / "other").exists());
}

FIBER_TEST(PathTest, FindsItsWay) {
  const test::TemporaryDirectory directory;
  const Path base = Path(directory.path()).resolve();
  (base / "real/below").mkdir({.parents = true});
  (base / "link").symlink_to("real");
  EXPECT_EQ((base / "link/below/..").resolve(), base / "real");
  EXPECT_EQ((base / "link/nothing").resolve(), base / "real/nothing");
  expect_names("nothing", [&] { (base / "nothing").resolve(true); });
  EXPECT_EQ(Path("x").absolute(), Path::cwd() / "x");
  expect_names((base / "real").string(), [&] { (base / "real").readlink(); });
}

// trio: test_path.py::test_classmethods
FIBER_TEST(PathTest, KnowsHomeAndHere) {
  EXPECT_EQ(Path::cwd(), Path(std::filesystem::current_path()));
  const char* set = std::getenv("HOME");  // NOLINT(concurrency-mt-unsafe)
  const std::string before = set != nullptr ? set : "";
  ::setenv("HOME", "/somewhere/else", 1);  // NOLINT(concurrency-mt-unsafe)
  EXPECT_EQ(Path::home(), Path("/somewhere/else"));
  EXPECT_EQ(Path("~/x").expanduser(), Path("/somewhere/else/x"));
  ::setenv("HOME", before.c_str(), 1);  // NOLINT(concurrency-mt-unsafe)
  const Path of_another = Path("~root/x").expanduser();
  EXPECT_TRUE(of_another.is_absolute());
  EXPECT_EQ(of_another.name(), "x");
  EXPECT_EQ(Path("x/~").expanduser(), Path("x/~"));
  EXPECT_THROW(Path("~no-such-user").expanduser(), UsageError);
}

}  // namespace
}  // namespace weft::fibers
