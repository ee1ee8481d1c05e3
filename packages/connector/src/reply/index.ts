// Reply: outcome to PUBLISH, and what a requester gets when the broker does not take it.
export { refusalOf } from './refused-reply.ts'
export { ReplyParts } from './reply-parts.ts'
export { problemReply, successReply, type Reply, type ReplyContext } from './reply.ts'
