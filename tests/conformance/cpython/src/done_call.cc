// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "tests/conformance/cpython/src/done_call.h"

#include <vector>

#include "tests/conformance/cpython/src/future.h"
#include "tests/conformance/cpython/src/handle.h"
#include "tests/conformance/cpython/src/loop.h"
#include "tests/conformance/cpython/src/task.h"
#include "weft/loop/event_loop.h"

namespace weft::python {

namespace {

struct CallDone {
  static void call(DoneCall& fn, loop::detail::HandleNode& node) { fn.run(*node.future.core); }
};
using Callable = loop::detail::NodeCallable<DoneCall, CallDone>;

}  // namespace

DoneCall::~DoneCall() {
  if (fn_ == nullptr || Py_IsInitialized() == 0) return;
  const WithLock lock;
  Py_DECREF(fn_);
  Py_DECREF(context_);
  Py_XDECREF(subject_);
}

void DoneCall::run(loop::detail::FutureCore& future) const {
  const Owned fn(Py_NewRef(fn_));
  const Owned context(Py_NewRef(context_));
  const Owned subject(Py_NewRef(subject_ != nullptr ? subject_ : object_of(future)));
  LoopObject& loop = *reinterpret_cast<FutureHead*>(subject.get())->loop;
  note_called(loop, fn_);
  PyObject* args[] = {nullptr, subject.get()};
  const Owned result(call_in_context(context.get(), fn.get(), args + 1, 1));
  if (result) [[likely]]
    return;
  report_failed_call(loop, fn.get(), args + 1, 1, context.get());
}

int DoneCall::traverse(visitproc visit, void* arg) const {
  Py_VISIT(fn_);
  Py_VISIT(context_);
  Py_VISIT(subject_);
  return 0;
}

DoneCall* DoneCall::in(loop::detail::HandleNode& node) noexcept {
  return node.ops == &Callable::kOps ? &Callable::get(node) : nullptr;
}

PyObject* add_done_call(loop::detail::FutureCore& future, PyObject* fn, PyObject* context,
                        PyObject* subject) {
  return guarded([&]() -> PyObject* {
    const Owned own(context == nullptr || context == Py_None ? PyContext_CopyCurrent()
                                                             : Py_NewRef(context));
    if (!own) return nullptr;
    loop::detail::HandleNode* const node = loop::detail::make_node<CallDone>(
        future.loop(), DoneCall(fn, own.get(), subject), std::source_location::current());
    loop::detail::release_node(future.add_callback(node));
    return Py_NewRef(Py_None);
  });
}

PyObject* parse_done_call(loop::detail::FutureCore& future, PyObject* const* args, Py_ssize_t count,
                          PyObject* words, PyObject* subject) {
  const Py_ssize_t named = words == nullptr ? 0 : PyTuple_GET_SIZE(words);
  const bool good =
      count == 1 && named <= 1 &&
      (named == 0 || PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(words, 0), "context") == 0);
  if (!good) {
    PyErr_SetString(PyExc_TypeError,
                    "add_done_callback() takes a callable, and `context` by its name");
    return nullptr;
  }
  return add_done_call(future, args[0], named == 1 ? args[1] : nullptr, subject);
}

// By handles: comparing runs Python's code, which may add and remove callbacks.
PyObject* remove_done_calls(loop::detail::FutureCore& future, PyObject* fn) {
  std::vector<loop::Handle> handles;
  for (auto* node = future.first_callback(); node != nullptr; node = node->next) {
    if (node->kind != loop::detail::NodeKind::kFuture || DoneCall::in(*node) == nullptr) continue;
    ++node->refs;
    handles.push_back(loop::HandleAccess::wrap(node));
  }
  std::size_t removed = 0;
  for (const loop::Handle& handle : handles) {
    loop::detail::HandleNode* const node = loop::HandleAccess::node(handle);
    const DoneCall* const call = DoneCall::in(*node);
    if (call == nullptr) continue;
    const Owned callable(Py_NewRef(call->fn()));
    const int equal = PyObject_RichCompareBool(callable.get(), fn, Py_EQ);
    if (equal < 0) return nullptr;
    if (equal != 0) removed += future.remove_callback(node);
  }
  return PyLong_FromSize_t(removed);
}

PyObject* list_done_calls(loop::detail::FutureCore& future) {
  if (future.first_callback() == nullptr) return Py_NewRef(Py_None);
  Owned list(PyList_New(0));
  if (!list) return nullptr;
  for (auto* node = future.first_callback(); node != nullptr; node = node->next) {
    Owned pair(nullptr);
    if (node->kind == loop::detail::NodeKind::kTask) {
      const Owned waiting(wakeup_of(static_cast<loop::detail::TaskNode*>(node)->task));
      if (!waiting) return nullptr;
      pair.reset(PyTuple_Pack(2, waiting.get(), Py_None));
    } else if (const DoneCall* const call = DoneCall::in(*node)) {
      pair.reset(PyTuple_Pack(2, call->fn(), call->context()));
    } else {
      continue;  // C++'s.
    }
    if (!pair || PyList_Append(list.get(), pair.get()) < 0) return nullptr;
  }
  return list.release();
}

// A task whose only reference is this list's is visited from here alone.
int traverse_callbacks(loop::detail::FutureCore& future, visitproc visit, void* arg) {
  for (auto* node = future.first_callback(); node != nullptr; node = node->next) {
    if (node->kind == loop::detail::NodeKind::kTask) {
      loop::detail::FutureCore& task = static_cast<loop::detail::TaskNode*>(node)->task.future();
      if (task.references() == 1) Py_VISIT(object_of(task));
    } else if (const DoneCall* const call = DoneCall::in(*node)) {
      if (const int result = call->traverse(visit, arg)) return result;
    }
  }
  return 0;
}

}  // namespace weft::python
