"""Everything this service does, on one screen: which task takes which message, from which queue.

| message                             | task                        | queue                   |
|-------------------------------------|-----------------------------|-------------------------|
| `user.created`                      | SendVerificationMail        | `consumer.mail`         |
| `user.verification_requested`       | SendAnotherVerificationMail | `consumer.mail`         |
| `user.email_verified`               | SendWelcomeMail             | `consumer.mail`         |
| `user.password_reset_requested`     | SendPasswordResetMail       | `consumer.mail`         |
| `user.password_changed`             | SendPasswordChangedMail     | `consumer.mail`         |
| `user.verification_code_requested`  | SendVerificationCodeMail    | `consumer.mail`         |
| `mail.send`                         | SendMail                    | `consumer.mail`         |
| `user.created`                      | NotifyOperators             | `consumer.notification` |

To add a task: one file in `tasks/`, one line in `TASKS`, one line in its family's function below, one test file.
"""

from consumer_service.correspondence import Correspondence
from consumer_service.dispatch import AnyTask
from consumer_service.effects.mailer import Mailer
from consumer_service.effects.webhook import Webhook
from consumer_service.tasks.another_verification_mail import SendAnotherVerificationMail
from consumer_service.tasks.notify_operators import NotifyOperators
from consumer_service.tasks.password_changed_mail import SendPasswordChangedMail
from consumer_service.tasks.password_reset_mail import SendPasswordResetMail
from consumer_service.tasks.send_mail import SendMail
from consumer_service.tasks.verification_code_mail import SendVerificationCodeMail
from consumer_service.tasks.verification_mail import SendVerificationMail
from consumer_service.tasks.welcome_mail import SendWelcomeMail
from consumer_service.tokens import Tokens

TASKS: tuple[type[AnyTask], ...] = (
    SendVerificationMail,
    SendAnotherVerificationMail,
    SendWelcomeMail,
    SendPasswordResetMail,
    SendPasswordChangedMail,
    SendVerificationCodeMail,
    SendMail,
    NotifyOperators,
)


def mail_tasks(*, mailer: Mailer, correspondence: Correspondence, tokens: Tokens) -> tuple[AnyTask, ...]:
    """Return the tasks of the mail family."""
    return (
        SendVerificationMail(mailer=mailer, correspondence=correspondence, tokens=tokens),
        SendAnotherVerificationMail(mailer=mailer, correspondence=correspondence, tokens=tokens),
        SendWelcomeMail(mailer=mailer, correspondence=correspondence),
        SendPasswordResetMail(mailer=mailer, correspondence=correspondence, tokens=tokens),
        SendPasswordChangedMail(mailer=mailer, correspondence=correspondence),
        SendVerificationCodeMail(mailer=mailer, correspondence=correspondence, tokens=tokens),
        SendMail(mailer=mailer, correspondence=correspondence),
    )


def notification_tasks(*, webhook: Webhook) -> tuple[AnyTask, ...]:
    """Return the tasks of the notification family."""
    return (NotifyOperators(webhook=webhook),)
