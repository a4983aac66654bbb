// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// PostgreSQL by libpq, which gives its descriptor and never blocks: plain loops around the waits
// for that descriptor, and no callback at all. The connection string is the argument.
//
// Prints:
//   the answer is 42
//   error: division by zero
//   too slow, and the server has been told to stop
//   the connection can still be used

#include <libpq-fe.h>

#include <chrono>
#include <iostream>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/io.h"
#include "weft/fibers/main.h"
#include "weft/fibers/timeouts.h"
#include "weft/fibers/to_thread.h"

using namespace std::chrono_literals;
namespace trio = weft::fibers;

template <auto kFree>
struct FreeBy {
  template <class T>
  void operator()(T* thing) const {
    kFree(thing);
  }
};
using Connection = std::unique_ptr<PGconn, FreeBy<PQfinish>>;
using Result = std::unique_ptr<PGresult, FreeBy<PQclear>>;

Connection open_connection(const std::string& where) {
  Connection connection(PQconnectStart(where.c_str()));
  if (connection == nullptr) throw std::bad_alloc();
  if (PQstatus(connection.get()) == CONNECTION_BAD) {
    throw std::runtime_error(PQerrorMessage(connection.get()));
  }
  for (auto wants = PGRES_POLLING_WRITING; wants != PGRES_POLLING_OK;
       wants = PQconnectPoll(connection.get())) {
    const int fd = PQsocket(connection.get());  // may be another one each time
    switch (wants) {
      case PGRES_POLLING_READING:
        trio::wait_readable(fd);
        break;
      case PGRES_POLLING_WRITING:
        trio::wait_writable(fd);
        break;
      default:
        throw std::runtime_error(PQerrorMessage(connection.get()));
    }
  }
  PQsetnonblocking(connection.get(), 1);
  return connection;
}

void check(PGconn* connection, bool good) {
  if (!good) throw std::runtime_error(PQerrorMessage(connection));
}

// Waits until all that is to be sent has been sent. The server may talk meanwhile.
void flush(PGconn* connection) {
  for (;;) {
    const int left = PQflush(connection);
    check(connection, left >= 0);
    if (left == 0) return;
    if (trio::wait_readable_or_writable(PQsocket(connection)).readable) {
      check(connection, PQconsumeInput(connection) == 1);
    }
  }
}

// The last result of the query under way, when the server has answered all of it.
Result last_result(PGconn* connection) {
  Result last;
  for (;;) {
    while (PQisBusy(connection) != 0) {
      trio::wait_readable(PQsocket(connection));
      check(connection, PQconsumeInput(connection) == 1);
    }
    Result next(PQgetResult(connection));
    if (next == nullptr) return last;
    last = std::move(next);
  }
}

// PQcancel opens a connection of its own and blocks for it: a worker thread does that. Then the
// server's answer is read off, so that the next query does not meet it.
void stop_query(PGconn* connection) {
  trio::CancelScope last_words({.relative_deadline = 2s, .shield = true});
  last_words.run([&] {
    const std::unique_ptr<PGcancel, FreeBy<PQfreeCancel>> request(PQgetCancel(connection));
    trio::to_thread::run_sync([&] {
      char why[256] = {};
      PQcancel(request.get(), why, sizeof why);
    });
    flush(connection);
    last_result(connection);
  });
}

std::string query(PGconn* connection, const std::string& sql) {
  check(connection, PQsendQuery(connection, sql.c_str()) == 1);
  Result result;
  try {
    flush(connection);
    result = last_result(connection);
  } catch (const trio::Cancelled&) {
    stop_query(connection);
    throw;
  }
  if (PQresultStatus(result.get()) != PGRES_TUPLES_OK) {
    throw std::runtime_error(PQresultErrorField(result.get(), PG_DIAG_MESSAGE_PRIMARY));
  }
  return PQntuples(result.get()) > 0 ? PQgetvalue(result.get(), 0, 0) : "";
}

int main(int argc, char** argv) {
  return trio::main([&] {
    const Connection connection = open_connection(argc > 1 ? argv[1] : "");
    std::cout << "the answer is " << query(connection.get(), "SELECT 6 * 7") << '\n';
    try {
      query(connection.get(), "SELECT 1 / 0");
    } catch (const std::runtime_error& error) {
      std::cout << "error: " << error.what() << '\n';
    }
    const bool in_time =
        trio::move_on_after(50ms, [&] { query(connection.get(), "SELECT pg_sleep(3600)"); });
    if (!in_time) std::cout << "too slow, and the server has been told to stop\n";
    std::cout << "the connection " << query(connection.get(), "SELECT 'can still be used'") << '\n';
  });
}
