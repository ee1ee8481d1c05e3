// Turns the outcome of a request into the PUBLISH packets of its reply.
export { refusalOf } from './refused-reply.ts'
export { ReplyParts } from './reply-parts.ts'
export { problemReply, successReply, type Reply, type ReplyContext } from './reply.ts'
