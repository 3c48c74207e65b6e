// The C library's allocator, whose settings Swift cannot name.
#ifndef CMEMORY_H
#define CMEMORY_H

/// Keeps memory that is given back for what comes next, up to 256 MiB of it, in pieces of up to 4 MiB.
///
/// A study simulates thousands of layouts, each in arrays of some hundred KiB. By default glibc returns
/// these to the system and takes them again: every page is cleared and mapped anew, a quarter of a
/// search's time. Does nothing with other C libraries.
void keep_freed_memory(void);

#endif
