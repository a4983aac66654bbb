// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/stream_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/loop/streams_testing.h"
#include "weft/fibers/errors.h"

namespace weft::loop {
namespace {

using ::testing::HasSubstr;
using namespace testing;  // NOLINT: the helpers of the folder.

// --- read. ---

// asyncio: test_streams.py::StreamTests::test_feed_empty_data
// asyncio: test_streams.py::StreamTests::test_feed_nonempty_data
// asyncio: test_streams.py::StreamTests::test_read_zero
// asyncio: test_streams.py::StreamTests::test_read_line_breaks
FIBER_TEST(StreamReaderTest, ReadGivesWhatIsThere) {
  with_loop([](EventLoop& loop) {
    StreamReader reader(loop);
    reader.feed_data("");
    EXPECT_EQ(rest(reader), "");
    reader.feed_data("line1");
    reader.feed_data("line2");
    EXPECT_EQ(await(reader.read(0)), "");
    EXPECT_EQ(await(reader.read(5)), "line1");
    EXPECT_EQ(rest(reader), "line2");
    EXPECT_EQ(await(reader.read(100)), "line2");
  });
}

// asyncio: test_streams.py::StreamTests::test_read
// asyncio: test_streams.py::StreamTests::test_read_eof
FIBER_TEST(StreamReaderTest, ReadWaitsForDataOrTheEnd) {
  in_each_form([](Form form) {
    with_idle_loop([&](EventLoop& loop) {
      const StreamReader reader;
      const auto read = [](StreamReader& r) { return r.read(30); };
      auto data = read_while(loop, form, reader, read, [](StreamReader& r) { r.feed_data(kData); });
      EXPECT_EQ(data.result(), kData);
      EXPECT_EQ(rest(reader), "");
      auto end = read_while(loop, form, reader, read, [](StreamReader& r) { r.feed_eof(); });
      EXPECT_EQ(end.result(), "");
      EXPECT_TRUE(reader.at_eof());
    });
  });
}

// asyncio: test_streams.py::StreamTests::test_read_until_eof
FIBER_TEST(StreamReaderTest, ReadWithoutANumberGivesAllUpToTheEnd) {
  in_each_form([](Form form) {
    with_idle_loop([&](EventLoop& loop) {
      StreamReader reader;
      reader.feed_data("chunk0\n");
      auto all = read_while(
          loop, form, reader, [](StreamReader& r) { return r.read(); },
          [](StreamReader& r) { r.feed_data("chunk1\n"); });
      EXPECT_FALSE(all.done());
      reader.feed_data("chunk2");
      reader.feed_eof();
      run_iterations(loop, 2);
      EXPECT_EQ(all.result(), "chunk0\nchunk1\nchunk2");
    });
  });
}

// asyncio: test_streams.py::StreamTests::test_read_limit
// asyncio: test_streams.py::StreamTests::test_readexactly_limit
FIBER_TEST(StreamReaderTest, ReadAndReadexactlyDoNotCareForTheLimit) {
  with_loop([](EventLoop& loop) {
    StreamReader reader(loop, 3);
    reader.feed_data("chunkchunk");
    EXPECT_EQ(await(reader.read(5)), "chunk");
    EXPECT_EQ(await(reader.readexactly(5)), "chunk");
  });
}

// asyncio: test_streams.py::StreamTests::test_invalid_limit
TEST(StreamReaderPlainTest, ALimitOfNothingIsRefused) {
  EXPECT_THAT(thrown<fibers::UsageError>([] { StreamReader reader(0); }),
              HasSubstr("limit cannot be <= 0"));
}

// asyncio: test_streams.py::StreamTests::test_at_eof
FIBER_TEST(StreamReaderTest, IsAtTheEndWhenEverythingHasBeenRead) {
  with_loop([](EventLoop& loop) {
    StreamReader reader(loop);
    EXPECT_FALSE(reader.at_eof());
    reader.feed_data("some data\n");
    EXPECT_FALSE(reader.at_eof());
    await(reader.readline());
    EXPECT_FALSE(reader.at_eof());
    reader.feed_data("some data\n");
    reader.feed_eof();
    EXPECT_FALSE(reader.at_eof());
    await(reader.readline());
    EXPECT_TRUE(reader.at_eof());
    EXPECT_THAT(thrown<fibers::UsageError>([&] { reader.feed_data("late"); }),
                HasSubstr("feed_data after feed_eof"));
  });
}

// --- readline. ---

// asyncio: test_streams.py::StreamTests::test_readline
FIBER_TEST(StreamReaderTest, ReadlineWaitsForTheEndOfTheLine) {
  in_each_form([](Form form) {
    with_idle_loop([&](EventLoop& loop) {
      StreamReader reader;
      reader.feed_data("chunk1 ");
      auto line = read_while(
          loop, form, reader, [](StreamReader& r) { return r.readline(); },
          [](StreamReader& r) {
            r.feed_data("chunk2 ");
            r.feed_data("chunk3 ");
            r.feed_data("\n chunk4");
          });
      EXPECT_EQ(line.result(), "chunk1 chunk2 chunk3 \n");
      EXPECT_EQ(rest(reader), " chunk4");
    });
  });
}

// asyncio: test_streams.py::StreamTests::test_readline_nolimit_nowait
// asyncio: test_streams.py::StreamTests::test_readline_read_byte_count
// asyncio: test_streams.py::StreamTests::test_readline_eof
// asyncio: test_streams.py::StreamTests::test_readline_empty_eof
FIBER_TEST(StreamReaderTest, ReadlineTakesOneLineAndTheLastMayBeIncomplete) {
  with_loop([](EventLoop& loop) {
    StreamReader reader(loop);
    reader.feed_data(kData.substr(0, 6));
    reader.feed_data(kData.substr(6));
    EXPECT_EQ(await(reader.readline()), "line1\n");
    EXPECT_EQ(rest(reader), "line2\nline3\n");
    EXPECT_EQ(await(reader.read(7)), "line2\nl");
    EXPECT_EQ(await(reader.readline()), "ine3\n");
    reader.feed_data("some data");
    reader.feed_eof();
    EXPECT_EQ(await(reader.readline()), "some data");
    EXPECT_EQ(await(reader.readline()), "");
  });
}

// C++ has no `async for`: the empty line is the end.
// asyncio: test_pep492.py::StreamReaderTests::test_readline
FIBER_TEST(StreamReaderTest, GivesLineAfterLineUntilTheEnd) {
  in_each_form([](Form form) {
    with_loop([&](EventLoop& loop) {
      StreamReader reader(loop);
      reader.feed_data("line1\nline2\nline3");
      reader.feed_eof();
      auto task = start(loop, form, [reader]() mutable -> Coro<Log> {
        Log lines;
        for (;;) {
          std::string line = co_await reader.readline();
          if (line.empty()) break;
          lines.push_back(std::move(line));
        }
        co_return lines;
      });
      EXPECT_THAT(await(task), ::testing::ElementsAre("line1\n", "line2\n", "line3"));
    });
  });
}

// asyncio: test_streams.py::StreamTests::test_readline_limit
FIBER_TEST(StreamReaderTest, TheLimitIsThatOfALineWithoutItsEnd) {
  with_loop([](EventLoop& loop) {
    StreamReader reader(loop, 7);
    reader.feed_data("1234567\n");
    EXPECT_EQ(await(reader.readline()), "1234567\n");
    reader.feed_data("12345678\nnext\n");
    EXPECT_THAT(error_of<LimitOverrunError>([&] { return reader.readline(); }),
                HasSubstr("Separator is found, but chunk is longer than limit"));
    EXPECT_EQ(await(reader.readline()), "next\n");
    reader.feed_data("12345678");
    EXPECT_THAT(error_of<LimitOverrunError>([&] { return reader.readline(); }),
                HasSubstr("Separator is not found, and chunk exceed the limit"));
    EXPECT_EQ(rest(reader), "");
  });
}

// asyncio: test_streams.py::StreamTests::test_readline_limit_with_existing_data
FIBER_TEST(StreamReaderTest, ALineThatIsTooLongIsDroppedAndTheNextOneStays) {
  in_each_form([](Form form) {
    with_idle_loop([&](EventLoop& loop) {
      const auto read = [](StreamReader& r) { return r.readline(); };
      const StreamReader ended(7);
      auto first = read_while(loop, form, ended, read, [](StreamReader& r) {
        r.feed_data("chunk1");
        r.feed_data("chunk2\n");
        r.feed_data("chunk3\n");
        r.feed_eof();
      });
      EXPECT_THROW(first.result(), LimitOverrunError);
      EXPECT_EQ(rest(ended), "chunk3\n");
      const StreamReader open(7);
      auto second = read_while(loop, form, open, read, [](StreamReader& r) {
        r.feed_data("chunk1");
        r.feed_data("chunk2");
      });
      EXPECT_THROW(second.result(), LimitOverrunError);
      EXPECT_EQ(rest(open), "");
    });
  });
}

// --- readuntil. ---

// asyncio: test_streams.py::StreamTests::test_readuntil_separator
FIBER_TEST(StreamReaderTest, ReaduntilNeedsASeparator) {
  StreamReader reader;
  EXPECT_THAT(thrown<fibers::UsageError>([&] { reader.readuntil(std::string_view()).close(); }),
              HasSubstr("Separator should be at least one-byte string"));
  EXPECT_THAT(thrown<fibers::UsageError>([&] {
                reader.readuntil({"a", ""}).close();
              }),
              HasSubstr("at least one-byte"));
  const std::vector<std::string_view> none;
  EXPECT_THAT(thrown<fibers::UsageError>([&] { reader.readuntil(none).close(); }),
              HasSubstr("Separator should contain at least one element"));
}

// asyncio: test_streams.py::StreamTests::test_readuntil_multi_chunks
// asyncio: test_streams.py::StreamTests::test_readuntil_multi_chunks_1
FIBER_TEST(StreamReaderTest, ReaduntilFindsASeparatorThatComesInPieces) {
  for (const std::vector<std::string_view>& chunks :
       {std::vector<std::string_view>{"QWEaa", "XYaa", "a"},
        {"QWEaa", "XYa", "aa"},
        {"QWEaaXYaaa"},
        {"QWEaaXY", "a", "a", "a"}}) {
    in_each_form([&](Form form) {
      with_idle_loop([&](EventLoop& loop) {
        StreamReader reader;
        auto read = start(loop, form, [reader]() mutable { return reader.readuntil("aaa"); });
        run_once(loop);
        for (const std::string_view chunk : chunks) {
          reader.feed_data(chunk);
          run_iterations(loop, 2);
        }
        EXPECT_EQ(read.result(), "QWEaaXYaaa");
        EXPECT_EQ(rest(reader), "");
      });
    });
  }
}

// asyncio: test_streams.py::StreamTests::test_readuntil_eof
FIBER_TEST(StreamReaderTest, ReaduntilSaysWhatCameBeforeTheEnd) {
  with_loop([](EventLoop& loop) {
    StreamReader reader(loop);
    reader.feed_data("some dataAA");
    reader.feed_eof();
    try {
      await(reader.readuntil("AAA"));
      ADD_FAILURE() << "nothing was thrown";
    } catch (const IncompleteReadError& error) {
      EXPECT_STREQ(error.what(), "11 bytes read on a total of undefined expected bytes");
      EXPECT_EQ(error.partial(), "some dataAA");
      EXPECT_EQ(error.expected(), std::nullopt);
    }
    EXPECT_EQ(rest(reader), "");
  });
}

// A whole message may be there although the stream has ended.
FIBER_TEST(StreamReaderTest, ReaduntilGivesTheMessagesBeforeTheEnd) {
  with_loop([](EventLoop& loop) {
    StreamReader reader(loop);
    reader.feed_data("one;two;");
    reader.feed_eof();
    EXPECT_EQ(await(reader.readuntil(";")), "one;");
    EXPECT_EQ(await(reader.readuntil(";")), "two;");
    EXPECT_THROW(await(reader.readuntil(";")), IncompleteReadError);
  });
}

// asyncio: test_streams.py::StreamTests::test_readuntil_limit_found_sep
FIBER_TEST(StreamReaderTest, ReaduntilLeavesWhatExceedsTheLimit) {
  with_loop([](EventLoop& loop) {
    StreamReader reader(loop, 3);
    reader.feed_data("some dataAA");
    try {
      await(reader.readuntil("AAA"));
      ADD_FAILURE() << "nothing was thrown";
    } catch (const LimitOverrunError& error) {
      EXPECT_THAT(error.what(), HasSubstr("not found"));
      EXPECT_EQ(error.consumed(), 9U);  // The last two may be a part of the separator.
    }
    EXPECT_EQ(rest(reader), "some dataAA");
    reader.feed_data("A");
    try {
      await(reader.readuntil("AAA"));
      ADD_FAILURE() << "nothing was thrown";
    } catch (const LimitOverrunError& error) {
      EXPECT_THAT(error.what(), HasSubstr("is found"));
      EXPECT_EQ(error.consumed(), 9U);
    }
    EXPECT_EQ(rest(reader), "some dataAAA");
  });
}

// asyncio: test_streams.py::StreamTests::test_readuntil_multi_separator
FIBER_TEST(StreamReaderTest, OfSeveralSeparatorsTheFirstThatEndsCounts) {
  with_loop([](EventLoop& loop) {
    StreamReader reader(loop);
    reader.feed_data("line 1\nline 2\r");
    EXPECT_EQ(await(reader.readuntil({"\r", "\n"})), "line 1\n");
    EXPECT_EQ(await(reader.readuntil({"\r", "\n"})), "line 2\r");
    EXPECT_EQ(rest(reader), "");
    reader.feed_data("ABCD");
    EXPECT_EQ(await(reader.readuntil({"ABCD", "ABC"})), "ABC");
    EXPECT_EQ(await(reader.read(1)), "D");
    reader.feed_data("xABCy");
    EXPECT_EQ(await(reader.readuntil({"BC", "ABC"})), "xABC");
    EXPECT_EQ(rest(reader), "y");
  });
}

// asyncio: test_streams.py::StreamTests::test_readuntil_multi_separator_limit
FIBER_TEST(StreamReaderTest, TheLimitCountsForSeveralSeparators) {
  with_loop([](EventLoop& loop) {
    StreamReader reader(loop, 3);
    reader.feed_data("some dataA");
    // Of two that end at the same place the shorter one counts, before which there is too much.
    EXPECT_THAT(error_of<LimitOverrunError>([&] {
                  return reader.readuntil({"A", "ome dataA"});
                }),
                HasSubstr("is found"));
    EXPECT_EQ(rest(reader), "some dataA");
  });
}

// asyncio: test_streams.py::StreamTests::test_readuntil_multi_separator_negative_offset
FIBER_TEST(StreamReaderTest, AShortSeparatorIsFoundBesideALongOne) {
  in_each_form([](Form form) {
    with_idle_loop([&](EventLoop& loop) {
      StreamReader reader;
      reader.feed_data("data");
      auto read = read_while(
          loop, form, reader,
          [](StreamReader& r) {
            return r.readuntil({"A", "long sep"});
          },
          [](StreamReader& r) {
            r.feed_data("Z");
            r.feed_data("A");
          });
      EXPECT_EQ(read.result(), "dataZA");
    });
  });
}

// --- readexactly. ---

// asyncio: test_streams.py::StreamTests::test_readexactly_zero_or_less
// asyncio: test_streams.py::StreamTests::test_readexactly
FIBER_TEST(StreamReaderTest, ReadexactlyWaitsForTheLastByte) {
  in_each_form([](Form form) {
    with_idle_loop([&](EventLoop& loop) {
      StreamReader reader;
      auto none = start(loop, form, [reader]() mutable { return reader.readexactly(0); });
      auto read = read_while(
          loop, form, reader, [](StreamReader& r) { return r.readexactly(2 * kData.size()); },
          [](StreamReader& r) {
            for (int i = 0; i < 3; ++i) r.feed_data(kData);
          });
      EXPECT_EQ(none.result(), "");
      EXPECT_EQ(read.result(), std::string(kData) + std::string(kData));
      EXPECT_EQ(rest(reader), kData);
    });
  });
}

// asyncio: test_streams.py::StreamTests::test_readexactly_eof
FIBER_TEST(StreamReaderTest, ReadexactlySaysHowMuchCameBeforeTheEnd) {
  in_each_form([](Form form) {
    with_idle_loop([&](EventLoop& loop) {
      const StreamReader reader;
      auto read = read_while(
          loop, form, reader, [](StreamReader& r) { return r.readexactly(36); },
          [](StreamReader& r) {
            r.feed_data(kData);
            r.feed_eof();
          });
      try {
        read.result();
        ADD_FAILURE() << "nothing was thrown";
      } catch (const IncompleteReadError& error) {
        EXPECT_STREQ(error.what(), "18 bytes read on a total of 36 expected bytes");
        EXPECT_EQ(error.partial(), kData);
        EXPECT_EQ(error.expected(), 36U);
      }
      EXPECT_EQ(rest(reader), "");
    });
  });
}

}  // namespace
}  // namespace weft::loop
