/* SPDX-License-Identifier: MIT
 *
 * Status codes of ART. One list holds code and text, so that the two cannot drift
 * (art_strerror() is generated from it). Zero is success; every error is negative.
 * Codes are grouped by the largest thing that is permanently affected.
 */
#ifndef ART_STATUS_H
#define ART_STATUS_H

/* X(name, value, text) */
#define ART_STATUS_LIST(X) \
	/* the call: nothing happened, correct it and call again */ \
	X(ART_SUCCESS, 0, "success") \
	X(ART_ERR_ARG, -1, "invalid argument") \
	X(ART_ERR_COUNT, -2, "invalid count") \
	X(ART_ERR_TYPE, -3, "invalid or unsuitable type") \
	X(ART_ERR_OP, -4, "invalid operator, or operator not defined for this type") \
	X(ART_ERR_ROOT, -5, "root is not a rank of the communicator") \
	X(ART_ERR_COMM, -6, "invalid or freed communicator") \
	/* the operation: it ended with this outcome, alike at every member */ \
	X(ART_ERR_MISMATCH, -7, "ranks called different operations or arguments") \
	X(ART_ERR_TIMEOUT, -8, "deadline passed before every rank had entered") \
	X(ART_ERR_PROC_FAILED, -9, "a member of the communicator was lost") \
	X(ART_ERR_ROOT_LOST, -10, "the root was lost before its data was safe") \
	X(ART_ERR_PENDING, -11, "not known yet: the operation is not stable") \
	/* the process: this incarnation can do no more collectives */ \
	X(ART_ERR_NO_QUORUM, -12, "no quorum of the members can be reached") \
	X(ART_ERR_EVICTED, -13, "this rank was evicted from the job") \
	/* resources and the unexpected */ \
	X(ART_ERR_NOMEM, -14, "out of memory") \
	X(ART_ERR_TRANSPORT, -15, "transport failure") \
	X(ART_ERR_INTERNAL, -16, "internal error")

enum art_status_code {
#define ART_STATUS_ENUM(name, value, text) name = value,
	ART_STATUS_LIST(ART_STATUS_ENUM)
#undef ART_STATUS_ENUM
};

#endif
