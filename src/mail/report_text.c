/*
 * All that reports say, in both languages side by side. Each text tells what happened and who can
 * do something about it; none blames, and none names a command.
 */
#include "mail/report_text.h"

#include "mail/event.h"

const struct report_words report_words[REPORT_LANGUAGE_COUNT] = {
    [REPORT_ENGLISH] =
        {.from = "Mail Delivery System",
         .subject = {[REPORT_FAILED] = "Undelivered: your message could not be delivered",
                     [REPORT_DELAYED] = "Delayed: your message is still waiting",
                     [REPORT_RELAYED] = "Receipt: your message was handed on",
                     [REPORT_DELIVERED] = "Receipt: your message was delivered",
                     [REPORT_EXPANDED] = "Receipt: your message was passed to a list"},
         .opening = {[REPORT_FAILED] =
                         "Your message was not delivered to the recipients below, and no further "
                         "attempt will be made. Below each is why, and who can do something "
                         "about it.",
                     [REPORT_DELAYED] =
                         "Your message has not been delivered yet. You need not do anything: "
                         "this server goes on trying, and tells you if it has to give up.",
                     [REPORT_RELAYED] =
                         "Your message was handed on to the next server, which took "
                         "responsibility for it. That server sends no receipts of its own.",
                     [REPORT_DELIVERED] = "Your message was delivered into the mailbox.",
                     [REPORT_EXPANDED] = "Your message was passed on to the members of a list."},
         .message = "Your message",
         .reply = "The server %s said:",
         .until = "Attempts go on until %s.",
         .expired = "The time for attempts is up: none has succeeded since %s. This is the last "
                    "notice.",
         .given_up = "An administrator of this server sent the message back before it could be "
                     "delivered. Please ask why before you send it again.",
         .instead = "Did you perhaps mean %s?",
         .unreached = "No attempt to deliver it has succeeded.",
         .questions = "Questions? Write to %s and quote the id above; with it, the way of your "
                      "message can be looked up."},
    [REPORT_GERMAN] =
        {.from = "Mail Delivery System",
         .subject = {[REPORT_FAILED] = "Undelivered: Ihre Nachricht konnte nicht zugestellt werden",
                     [REPORT_DELAYED] = "Delayed: Ihre Nachricht wartet noch",
                     [REPORT_RELAYED] = "Receipt: Ihre Nachricht wurde weitergegeben",
                     [REPORT_DELIVERED] = "Receipt: Ihre Nachricht wurde zugestellt",
                     [REPORT_EXPANDED] = "Receipt: Ihre Nachricht ging an eine Liste"},
         .opening = {[REPORT_FAILED] =
                         "Ihre Nachricht wurde den unten genannten Empfängern nicht zugestellt, "
                         "und es wird nicht weiter versucht. Unter jedem steht, warum, und wer "
                         "etwas tun kann.",
                     [REPORT_DELAYED] =
                         "Ihre Nachricht ist noch nicht zugestellt. Sie müssen nichts tun: "
                         "Dieser Server versucht es weiter und meldet sich, falls er aufgeben "
                         "muss.",
                     [REPORT_RELAYED] =
                         "Ihre Nachricht wurde dem nächsten Server übergeben, der die "
                         "Verantwortung übernommen hat. Er stellt keine eigenen Belege aus.",
                     [REPORT_DELIVERED] = "Ihre Nachricht wurde in das Postfach zugestellt.",
                     [REPORT_EXPANDED] =
                         "Ihre Nachricht wurde an die Mitglieder einer Liste weitergegeben."},
         .message = "Ihre Nachricht",
         .reply = "Der Server %s antwortete:",
         .until = "Es wird bis %s weiter versucht.",
         .expired = "Die Zeit für Versuche ist abgelaufen: Seit %s ist keiner gelungen. Dies ist "
                    "die letzte Nachricht dazu.",
         .given_up = "Ein Administrator dieses Servers hat die Nachricht zurückgegeben, bevor sie "
                     "zugestellt werden konnte. Bitte fragen Sie nach dem Grund, bevor Sie sie "
                     "erneut senden.",
         .instead = "Meinten Sie vielleicht %s?",
         .unreached = "Kein Versuch der Zustellung ist gelungen.",
         .questions = "Fragen? Schreiben Sie an %s und nennen Sie die Kennung oben; mit ihr lässt "
                      "sich der Weg Ihrer Nachricht nachschlagen."},
};

struct explanation {
    const char *pattern;
    const char *text[REPORT_LANGUAGE_COUNT];
};

/* Of a delay, before those below: what a station says for now may pass by itself, and whoever sends
 * the message again has it there twice. */
static const struct explanation delays[] = {
    {"?.1.?",
     {"The recipient's server does not take the message for now, because of an address. Its words "
      "below may say more.",
      "Der Server des Empfängers nimmt die Nachricht wegen einer Adresse vorerst nicht an. Sein "
      "Wortlaut unten sagt vielleicht mehr."}},
    {"?.4.1",
     {"The recipient's server can't be reached at present. Whoever runs it must act.",
      "Der Server des Empfängers ist derzeit nicht zu erreichen. Dessen Betreiber muss etwas "
      "tun."}},
    {"?.4.7",
     {"The recipient's server did not take the message in time. Its words below may say more.",
      "Der Server des Empfängers hat die Nachricht nicht rechtzeitig angenommen. Sein Wortlaut "
      "unten sagt vielleicht mehr."}},
    {"?.7.?",
     {"The recipient's server does not let the message in for now. That often passes by itself: "
      "many servers take a stranger's mail only when it comes again (greylisting). Its words "
      "below may say more.",
      "Der Server des Empfängers nimmt die Nachricht vorerst nicht an. Oft gibt sich das von "
      "selbst: Viele Server nehmen Mail von Unbekannten erst an, wenn sie wiederkommt "
      "(Greylisting). Sein Wortlaut unten sagt vielleicht mehr."}},
};

/* From the most exact to the most general: the first whose pattern fits is taken. RFC 3463
 * sections 3.2 to 3.8 and the registry of enhanced status codes. */
static const struct explanation explanations[] = {
    {"?.1.1",
     {"This address does not exist. Please check how it is spelt, or ask the recipient for the "
      "right one; sending again to the same address will not help.",
      "Diese Adresse gibt es nicht. Bitte prüfen Sie die Schreibweise oder fragen Sie den "
      "Empfänger nach der richtigen; nochmals an dieselbe Adresse zu senden hilft nicht."}},
    {"?.1.2",
     {"The part of the address behind the @ does not exist. Please check how it is spelt.",
      "Den Teil der Adresse hinter dem @ gibt es nicht. Bitte prüfen Sie die Schreibweise."}},
    {"?.1.10",
     {"The domain of this address says that it takes no mail. Please ask the recipient for "
      "another address.",
      "Die Domain dieser Adresse nimmt nach eigener Auskunft keine Mail an. Bitte fragen Sie den "
      "Empfänger nach einer anderen Adresse."}},
    {"?.2.1",
     {"The mailbox is switched off. The recipient, or whoever runs the recipient's mail, must "
      "act.",
      "Das Postfach ist abgeschaltet. Der Empfänger oder der Betreiber seines Postfachs muss "
      "etwas tun."}},
    {"?.2.2",
     {"The mailbox is full. The recipient must make room; please reach them another way.",
      "Das Postfach ist voll. Der Empfänger muss Platz schaffen; bitte erreichen Sie ihn auf "
      "anderem Weg."}},
    {"?.2.3",
     {"The message is too large for this mailbox. Please send it smaller, for instance with a "
      "link instead of an attachment.",
      "Die Nachricht ist für dieses Postfach zu groß. Bitte senden Sie sie kleiner, zum Beispiel "
      "mit einem Verweis statt eines Anhangs."}},
    {"?.3.4",
     {"The message is too large for the recipient's server. Please send it smaller, for instance "
      "with a link instead of an attachment.",
      "Die Nachricht ist für den Server des Empfängers zu groß. Bitte senden Sie sie kleiner, zum "
      "Beispiel mit einem Verweis statt eines Anhangs."}},
    {"?.4.1",
     {"The recipient's server could not be reached. Whoever runs it must act; you may try again "
      "later.",
      "Der Server des Empfängers war nicht zu erreichen. Dessen Betreiber muss etwas tun; Sie "
      "können es später erneut versuchen."}},
    {"?.4.3",
     {"The directory of the recipient's domain (DNS) gave no usable answer. Whoever runs that "
      "domain must act.",
      "Das Verzeichnis der Domain des Empfängers (DNS) gab keine brauchbare Antwort. Der Betreiber "
      "der Domain muss etwas tun."}},
    {"?.4.6",
     {"The message went round in a circle between servers. Whoever runs the recipient's mail must "
      "mend a forwarding.",
      "Die Nachricht lief zwischen Servern im Kreis. Der Betreiber der Mail des Empfängers muss "
      "eine Weiterleitung richtigstellen."}},
    {"?.4.7",
     {"No attempt has succeeded, and none will be made any more. You may send the message again; "
      "when that doesn't help, whoever runs the recipient's server must act.",
      "Kein Versuch ist gelungen, und es wird keiner mehr gemacht. Sie können die Nachricht erneut "
      "senden; hilft das nicht, muss der Betreiber des Servers des Empfängers etwas tun."}},
    {"?.6.?",
     {"The recipient's server can't take a message of this form. Please send it as plain text or "
      "with ordinary attachments.",
      "Der Server des Empfängers kann eine Nachricht dieser Form nicht annehmen. Bitte senden Sie "
      "sie als einfachen Text oder mit gewöhnlichen Anhängen."}},
    {"?.7.?",
     {"The recipient's server refuses this message by its rules. Its words below may say which; "
      "your own postmaster can help.",
      "Der Server des Empfängers lehnt diese Nachricht nach seinen Regeln ab. Sein Wortlaut unten "
      "sagt vielleicht, nach welcher; Ihr eigener Postmaster kann helfen."}},
    {"?.1.?",
     {"Something is wrong with this address. Please check how it is spelt.",
      "Mit dieser Adresse stimmt etwas nicht. Bitte prüfen Sie die Schreibweise."}},
    {"?.2.?",
     {"The mailbox can't take the message. The recipient, or whoever runs the recipient's mail, "
      "must act.",
      "Das Postfach kann die Nachricht nicht aufnehmen. Der Empfänger oder der Betreiber seines "
      "Postfachs muss etwas tun."}},
    {"?.3.?",
     {"The recipient's mail system can't take the message. Whoever runs it must act.",
      "Das Mailsystem des Empfängers kann die Nachricht nicht aufnehmen. Dessen Betreiber muss "
      "etwas tun."}},
    {"?.4.?",
     {"The way to the recipient's server is disturbed. Whoever runs that server must act.",
      "Der Weg zum Server des Empfängers ist gestört. Der Betreiber dieses Servers muss etwas "
      "tun."}},
    {"2.?.?", {"All is well.", "Alles ist in Ordnung."}},
    {"?.?.?",
     {"The recipient's server did not take the message. Its words below are all that is known.",
      "Der Server des Empfängers hat die Nachricht nicht angenommen. Mehr als sein Wortlaut unten "
      "ist nicht bekannt."}},
};

/* The first that fits; `count`: none. */
static size_t find(const struct explanation *list, size_t count, struct span status)
{
    size_t i = 0;

    while (i < count && !event_status_fits(status, list[i].pattern))
        i++;
    return i;
}

const char *report_explain(enum report_kind kind, struct span status, enum report_language language)
{
    const size_t last = ARRAY_SIZE(explanations) - 1, count = ARRAY_SIZE(delays);
    size_t i = kind == REPORT_DELAYED ? find(delays, count, status) : count;

    return i < count ? delays[i].text[language]
                     : explanations[find(explanations, last, status)].text[language];
}
