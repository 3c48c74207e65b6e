// Open MPI behind plain integers.
//
// MPI's handles and constants (MPI_COMM_WORLD, MPI_INT64_T, ...) are macros that cast the address of a
// library variable, which Swift cannot import. Each function here is one MPI call on the world
// communicator and returns its error code; mpi.h itself stays out of this header.
#ifndef CMPISHIMS_H
#define CMPISHIMS_H

#include <stdint.h>

/// What an all-reduction does with the values of all processes.
enum mpi_shim_reduction { MPI_SHIM_MINIMUM = 0, MPI_SHIM_MAXIMUM = 1, MPI_SHIM_SUM = 2 };

/// One leg of an exchange with a peer: bytes out, bytes in. A zero count means no message that way.
typedef struct {
  const void *_Nullable outgoing;
  void *_Nullable incoming;
  int32_t outgoing_count;
  int32_t incoming_capacity;
  int32_t peer;
} mpi_shim_transfer;

/// MPI_Init, then MPI_Comm_set_errhandler(MPI_ERRORS_RETURN) on the world and the self communicator.
int mpi_shim_init(void);
/// MPI_Initialized.
int mpi_shim_initialized(int *_Nonnull flag);
/// MPI_Finalized.
int mpi_shim_finalized(int *_Nonnull flag);
/// MPI_Finalize.
int mpi_shim_finalize(void);
/// MPI_Abort on the world communicator.
int mpi_shim_abort(int exit_code);
/// MPI_Comm_rank of the world communicator.
int mpi_shim_rank(int *_Nonnull rank);
/// MPI_Comm_size of the world communicator.
int mpi_shim_size(int *_Nonnull size);
/// MPI_Barrier.
int mpi_shim_barrier(void);
/// MPI_Send of bytes.
int mpi_shim_send(const void *_Nullable bytes, int count, int destination, int tag);
/// MPI_Recv of at most `capacity` bytes.
int mpi_shim_recv(void *_Nullable bytes, int capacity, int source, int tag);
/// MPI_Probe, then MPI_Get_count: the bytes of the next message from `source`.
int mpi_shim_probe(int source, int tag, int *_Nonnull count);
/// MPI_Sendrecv with one peer, or MPI_Irecv and MPI_Isend with every peer and one MPI_Waitall.
/// `requests` has room for `2 * count` entries of `mpi_shim_request_size()` bytes.
int mpi_shim_exchange(
    const mpi_shim_transfer *_Nonnull transfers, int count, int tag, void *_Nonnull requests);
/// The size of an MPI_Request.
int mpi_shim_request_size(void);
/// MPI_Allreduce of 64-bit integers in place.
int mpi_shim_allreduce_int64(int64_t *_Nonnull values, int count, enum mpi_shim_reduction reduction);
/// MPI_Bcast of bytes.
int mpi_shim_bcast(void *_Nullable bytes, int count, int root);
/// MPI_Gather of one 64-bit integer of each process.
int mpi_shim_gather_int64(int64_t value, int64_t *_Nullable values, int root);
/// MPI_Alltoall of `count` bytes from each process to each process.
int mpi_shim_alltoall(const void *_Nonnull outgoing, void *_Nonnull incoming, int count);
/// The capacity MPI_Error_string asks for.
int mpi_shim_error_capacity(void);
/// MPI_Error_string.
int mpi_shim_error_string(int code, char *_Nonnull text, int *_Nonnull length);

#endif
