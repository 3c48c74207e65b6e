#include "CMPIShims.h"

#include <mpi.h>

int mpi_shim_init(void) {
  int code = MPI_Init(NULL, NULL);
  if (code == MPI_SUCCESS) {
    code = MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  }
  if (code == MPI_SUCCESS) {
    code = MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN);
  }
  return code;
}

int mpi_shim_initialized(int *flag) { return MPI_Initialized(flag); }

int mpi_shim_finalized(int *flag) { return MPI_Finalized(flag); }

int mpi_shim_finalize(void) { return MPI_Finalize(); }

int mpi_shim_abort(int exit_code) { return MPI_Abort(MPI_COMM_WORLD, exit_code); }

int mpi_shim_rank(int *rank) { return MPI_Comm_rank(MPI_COMM_WORLD, rank); }

int mpi_shim_size(int *size) { return MPI_Comm_size(MPI_COMM_WORLD, size); }

int mpi_shim_barrier(void) { return MPI_Barrier(MPI_COMM_WORLD); }

int mpi_shim_send(const void *bytes, int count, int destination, int tag) {
  return MPI_Send(bytes, count, MPI_BYTE, destination, tag, MPI_COMM_WORLD);
}

int mpi_shim_recv(void *bytes, int capacity, int source, int tag) {
  return MPI_Recv(bytes, capacity, MPI_BYTE, source, tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}

int mpi_shim_probe(int source, int tag, int *count) {
  MPI_Status status;
  int code = MPI_Probe(source, tag, MPI_COMM_WORLD, &status);
  return code == MPI_SUCCESS ? MPI_Get_count(&status, MPI_BYTE, count) : code;
}

int mpi_shim_request_size(void) { return (int)sizeof(MPI_Request); }

int mpi_shim_exchange(const mpi_shim_transfer *transfers, int count, int tag, void *memory) {
  if (count == 1 && transfers->outgoing_count > 0 && transfers->incoming_capacity > 0) {
    return MPI_Sendrecv(
        transfers->outgoing, transfers->outgoing_count, MPI_BYTE, transfers->peer, tag,
        transfers->incoming, transfers->incoming_capacity, MPI_BYTE, transfers->peer, tag,
        MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  }
  MPI_Request *requests = memory;
  int started = 0;
  int code = MPI_SUCCESS;
  for (int i = 0; i < count && code == MPI_SUCCESS; i++) {
    if (transfers[i].incoming_capacity > 0) {
      code = MPI_Irecv(
          transfers[i].incoming, transfers[i].incoming_capacity, MPI_BYTE, transfers[i].peer, tag,
          MPI_COMM_WORLD, &requests[started++]);
    }
  }
  for (int i = 0; i < count && code == MPI_SUCCESS; i++) {
    if (transfers[i].outgoing_count > 0) {
      code = MPI_Isend(
          transfers[i].outgoing, transfers[i].outgoing_count, MPI_BYTE, transfers[i].peer, tag,
          MPI_COMM_WORLD, &requests[started++]);
    }
  }
  if (code != MPI_SUCCESS) {
    return code;
  }
  return MPI_Waitall(started, requests, MPI_STATUSES_IGNORE);
}

int mpi_shim_allreduce_int64(int64_t *values, int count, enum mpi_shim_reduction reduction) {
  MPI_Op operation = reduction == MPI_SHIM_MINIMUM   ? MPI_MIN
                     : reduction == MPI_SHIM_MAXIMUM ? MPI_MAX
                                                     : MPI_SUM;
  return MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_INT64_T, operation, MPI_COMM_WORLD);
}

int mpi_shim_bcast(void *bytes, int count, int root) {
  return MPI_Bcast(bytes, count, MPI_BYTE, root, MPI_COMM_WORLD);
}

int mpi_shim_gather_int64(int64_t value, int64_t *values, int root) {
  return MPI_Gather(&value, 1, MPI_INT64_T, values, 1, MPI_INT64_T, root, MPI_COMM_WORLD);
}

int mpi_shim_alltoall(const void *outgoing, void *incoming, int count) {
  return MPI_Alltoall(
      outgoing, count, MPI_BYTE, incoming, count, MPI_BYTE, MPI_COMM_WORLD);
}

int mpi_shim_error_capacity(void) { return MPI_MAX_ERROR_STRING; }

int mpi_shim_error_string(int code, char *text, int *length) {
  return MPI_Error_string(code, text, length);
}
